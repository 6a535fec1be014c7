"""A page as a browser parses it."""

import html.parser


class Page(html.parser.HTMLParser):
    """Collects what is in a page.

    Attributes:
      tags: names of all start tags, in order.
      attributes: list of (name, value) of all of them.
      texts: {tag: list of the texts directly in it}.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], {}, []
        self.feed(text)

    @property
    def addresses(self):
        """The values of all src and href attributes."""
        return [value for name, value in self.attributes if name in ("src", "href")]

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)
