"""Pages show hostile names of classes and files as text."""

from lxml import html

NAMES = ("<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "cat\u202egpj.exe")


def assert_harmless(text, names=NAMES):
    """Checks a page, as text: nothing of the names became an element or an attribute, and all of them are shown."""
    page = html.fromstring(text)
    assert not page.xpath("//script|//iframe|//object|//*[@*[starts-with(name(), 'on')]]")
    assert all(source.startswith("data:image/") for source in page.xpath("//@src"))
    assert not page.xpath("//a[starts-with(translate(@href, 'JAVSCRIPT', 'javscript'), 'javascript')]")
    shown = "".join(page.itertext())
    for name in names:
        assert name.replace("\u202e", "\\u202e") in shown or name in shown
    # A character that turns the direction of what follows it stays inside of its own cell.
    if any("\u202e" in name for name in names) and "\u202e" in shown:
        assert "unicode-bidi:isolate" in text.replace(" ", "")
