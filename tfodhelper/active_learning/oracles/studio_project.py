"""A project of Label Studio: its labels, and tasks with predictions that are put there once, whatever happens.

Every task has a key in its data. Before anything is sent, the tasks that exist are listed, and only the missing ones
are sent; that is repeated until none is missing, so that neither a killed process nor a broken connection loses a task.
If a request arrived after it was given up, a task may exist twice for a moment: the copy without an answer is removed.
"""

import dataclasses

from lxml import etree

from tfodhelper import console, errors, plain_text, spelling
from tfodhelper.active_learning.oracles.studio_server import BrokenError
from tfodhelper.formats import label_studio
from tfodhelper.formats.studio_regions import FLAGS, ControlNames

KEY = "tfodhelper"  # in the data of a task
_TRIES = 6
_PAGE = 500
_IDS = 100  # in one address
_TASKS = 250  # in one request, each of which has its own cost
_COUNTS = ("total_annotations", "cancelled_annotations")
_WANTED = ",".join(
    ("id", "data", *_COUNTS)
)  # of a listed task: a server that leaves out the rest is five times as fast
_FILES, _FILE_BYTES = 25, 32 << 20  # in one request
_MOST_CONFIG_CHARACTERS = 4 << 20


@dataclasses.dataclass(frozen=True)
class Labels:
    """What a project asks for.

    Attributes:
      names: `ControlNames` of its tags.
      image_key: under which a task names its image.
      classes: {class name: name of its label in results}.
    """

    names: ControlNames
    image_key: str
    classes: dict[str, str]


@dataclasses.dataclass(frozen=True)
class NewTask:
    """A task to be put into a project.

    Attributes:
      key: which no other task has.
      file_name: of its image once it is sent: ASCII, and in no other task.
      read_image: function that returns the bytes of the image.
      make: function of the address of the image, which returns the task as a dict.
    """

    key: str
    file_name: str
    read_image: object
    make: object


class StudioProject:
    """A project on a server.

    Args:
      server: a `studio_server.StudioServer`.
      number: of the project.
    """

    def __init__(self, server, number):
        self._server, self._number = server, number
        self._path = f"/api/projects/{number}"

    def prepare(self, class_names):
        """The `Labels` of the project; a project without any gets those of our tasks.

        Args:
          class_names: that boxes may have.

        Raises:
          UsageError: the project asks for something else.
        """
        project = self._server.get(f"{self._path}/")
        config = project.get("label_config") if isinstance(project, dict) else None
        if not isinstance(config, str) or len(config) > _MOST_CONFIG_CHARACTERS:
            raise errors.ServerError(f"{self._server.address}{self._path}: is not a project of Label Studio")
        root = self._parse(config)
        if root is None or not len(root):
            config = label_studio.make_config(class_names)
            self._server.patch(f"{self._path}/", {"label_config": config})
            console.say(f"{self._server.address}: the project {self._number} had no labels and got those of this round")
            root = self._parse(config)
        return self._read(root, class_names)

    def _parse(self, config):
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            return etree.fromstring(config.encode("utf-8"), parser) if config.strip() else None
        except (etree.XMLSyntaxError, ValueError) as error:
            raise errors.UsageError(
                f"the labelling interface of the project {self._number} is not XML", received=plain_text.shorten(error)
            ) from None

    def _read(self, root, class_names):
        images = {}
        for element in root.iter("Image"):
            value = element.get("value") or element.get("valueList") or ""
            if element.get("name") and value.startswith("$"):
                images[element.get("name")] = value[1:]
        boxes = next((each for each in root.iter("RectangleLabels") if each.get("toName") in images), None)
        known = {}
        for label in boxes.iter("Label") if boxes is not None else ():
            known[label.get("value")] = label.get("alias") or label.get("value")
        missing = [name for name in class_names if name not in known]
        if boxes is None or missing:
            lack = "has no RectangleLabels for an image" if boxes is None else "lacks the label " + repr(missing[0])
            raise errors.UsageError(
                f"the labelling interface of the project {self._number} {lack}",
                expected=f"labels for {', '.join(map(repr, class_names[:20]))}",
                received=", ".join(map(repr, list(known)[:20])) or None,
                fix="add it in Settings, Labeling Interface; or use an empty project, which gets its labels from here",
            )
        image = boxes.get("toName")
        flags = next((each.get("name") for each in root.iter("Choices") if _are_flags(each, image)), None)
        names = ControlNames(image, boxes.get("name"), None, None, flags)
        return Labels(names, images[image], known)

    def list_tasks(self):
        """{key: ids of the tasks with it, ascending} and the ids of those that somebody has answered."""
        listed, answered, page = {}, set(), 1
        while True:
            query = {"project": self._number, "page": page, "page_size": _PAGE, "resolve_uri": "false"}
            value = self._server.get("/api/tasks/", **query, include=_WANTED)
            tasks = value.get("tasks") if isinstance(value, dict) else value
            if not isinstance(tasks, list):
                raise errors.ServerError(f"{self._server.address}/api/tasks/: does not list tasks")
            for task in tasks:
                key, number = self._key_of(task)
                if key is not None:
                    listed.setdefault(key, []).append(number)
                    counts = [task.get(name) for name in _COUNTS]
                    if any(count != 0 for count in counts):  # also where an old server does not count
                        answered.add(number)
            total = value.get("total") if isinstance(value, dict) else None
            if not tasks or not isinstance(total, int) or page * _PAGE >= total:
                return {key: sorted(set(numbers)) for key, numbers in listed.items()}, answered
            page += 1

    @staticmethod
    def _key_of(task):
        data = task.get("data") if isinstance(task, dict) else None
        key = data.get(KEY) if isinstance(data, dict) else None
        number = task.get("id") if isinstance(task, dict) else None
        return (key, number) if isinstance(key, str) and isinstance(number, int) else (None, None)

    def put(self, new_tasks):
        """Puts tasks into the project, each once; what already exists stays as it is.

        Args:
          new_tasks: list of `NewTask`s.

        Returns:
          {key: id of its task}.

        Raises:
          ServerError: the server stops answering, or refuses; the same call continues where this one ended.
        """
        with console.Progress("drafts in Label Studio", len(new_tasks)) as progress:
            reason, num_done = "they were accepted, but are missing", 0
            for attempt in range(_TRIES):
                present, answered = self.list_tasks()
                missing = [task for task in new_tasks if task.key not in present]
                progress.advance(len(new_tasks) - len(missing) - num_done)
                num_done = len(new_tasks) - len(missing)
                if not missing:
                    return self._remove_copies({task.key: present[task.key] for task in new_tasks}, answered)
                if attempt + 1 < _TRIES:
                    try:
                        self._send(missing)
                    except BrokenError as broken:
                        reason = str(broken)
                        self._server.pause(attempt + 1)
        raise errors.ServerError(
            f"{self._server.address}: {spelling.count(len(missing), 'task')} could not be put into the project "
            f"{self._number}",
            received=reason,
            fix="type the same command again; it continues where this one ended",
        )

    def _send(self, missing):
        uploaded = self._list_uploads(missing)
        for start in range(0, len(missing), _TASKS):
            batch = missing[start : start + _TASKS]
            self._upload([task for task in batch if task.file_name not in uploaded], uploaded)
            tasks = [task.make(self._server.base_path + uploaded[task.file_name]) for task in batch]
            value = self._server.post(f"{self._path}/import", tasks)
            if isinstance(value, dict) and isinstance(value.get("import"), int):
                self._await_import(value["import"])

    def _await_import(self, number):
        """Waits for an import that the server does later, as the hosted editions do."""
        for attempt in range(_TRIES):
            value = self._server.get(f"{self._path}/imports/{number}")
            status = value.get("status") if isinstance(value, dict) else None
            if status == "completed":
                return
            if status == "failed":
                received = plain_text.shorten(plain_text.one_line(value.get("error")))
                raise errors.ServerError(f"{self._server.address}: the import of tasks failed", received=received)
            self._server.pause(attempt + 1)
        raise BrokenError(f"the import {number} is not finished")

    def _upload(self, tasks, uploaded):
        """Sends images, and adds {file name: address} of them to `uploaded`."""
        files, size = [], 0
        for position, task in enumerate(tasks):
            files.append((task.file_name, task.read_image()))
            size += len(files[-1][1])
            if len(files) == _FILES or size >= _FILE_BYTES or position + 1 == len(tasks):
                value = self._server.post_files(f"{self._path}/import", files, commit_to_project="false")
                ids = value.get("file_upload_ids") if isinstance(value, dict) else None
                sent = {name: None for name, _ in files}
                query = {"ids": str(ids)} if isinstance(ids, list) else {"all": "true"}
                uploaded |= self._read_uploads(self._server.get(f"{self._path}/file-uploads", **query), sent)
                lost = [name for name in sent if name not in uploaded]
                if lost:
                    raise errors.ServerError(
                        f"{self._server.address}: images were sent, but are not listed", received=lost[0]
                    )
                files, size = [], 0

    def _list_uploads(self, tasks):
        """{file name: address} of the images that an interrupted call has sent already."""
        wanted = {task.file_name: None for task in tasks}
        return self._read_uploads(self._server.get(f"{self._path}/file-uploads", all="true"), wanted)

    @staticmethod
    def _read_uploads(listed, wanted):
        addresses = {}
        for entry in listed if isinstance(listed, list) else ():
            path = entry.get("file") if isinstance(entry, dict) else None
            name = path.rpartition("/")[2].partition("-")[2] if isinstance(path, str) else None
            if name in wanted:
                addresses[name] = f"/data/{path.lstrip('/').removeprefix('data/')}"
        return addresses

    def _remove_copies(self, present, answered):
        """Removes all but one of the tasks with one key, except those that have an answer; returns {key: id}."""
        kept = {}
        for key, numbers in present.items():
            kept[key] = next((number for number in numbers if number in answered), numbers[0])
            for number in numbers:
                if number != kept[key] and number not in answered:
                    self._server.delete(f"/api/tasks/{number}/")
        return kept

    def read_answers(self, keys):
        """The tasks that somebody has answered, with their annotations.

        Args:
          keys: of the wanted tasks.

        Returns:
          ({key: list of tasks as the server exports them}, keys of the tasks that exist).
        """
        present, answered = self.list_tasks()
        wanted = {number: key for key in keys for number in present.get(key, ()) if number in answered}
        listed, numbers = {}, sorted(wanted)
        for start in range(0, len(numbers), _IDS):
            query = {"exportType": "JSON", "ids[]": numbers[start : start + _IDS]}
            tasks = self._server.get(f"{self._path}/export", **query)
            for task in tasks if isinstance(tasks, list) else ():
                key, number = self._key_of(task)
                if wanted.get(number) == key is not None:
                    listed.setdefault(key, []).append(task)
        return listed, present.keys() & set(keys)


def _are_flags(element, image):
    values = {choice.get("value") for choice in element.iter("Choice")}
    return element.get("toName") == image and element.get("perRegion") == "true" and set(FLAGS) <= values
