// What is beside the image: lists, messages, dialogs. Names of files and classes are text, never markup.

const find = (id) => document.getElementById(id);

function entry(color, name, detail) {
  const item = document.createElement("li");
  const swatch = document.createElement("i");
  swatch.style.background = color;
  const label = document.createElement("span");
  label.className = "name";
  label.textContent = name;
  const more = document.createElement("span");
  more.className = "detail";
  more.textContent = detail;
  item.append(swatch, label, more);
  return item;
}

// What a box counts in training, where that is not 1.
function weightsOf(box) {
  if (box.ignored) return ["ignored"];
  const {weight, location_weight: place} = box.weights;
  return [...(weight === undefined ? [] : [`counts ${weight}`]), ...(place === undefined ? [] : [`place ${place}`])];
}

export class Panels {
  constructor(colorOf) {
    this.colorOf = colorOf;
  }

  showBoxes(boxes, onSelect) {
    const items = boxes.list.map((box, index) => {
      const details = [];
      if (box.score !== null) details.push(`${Math.round(box.score * 100)} %`);
      if (box.difficult) details.push("difficult");
      details.push(...weightsOf(box));
      details.push(box.confirmed || boxes.verified ? "✓" : "?");
      const item = entry(this.colorOf(box.class), box.class, details.join(" · "));
      item.dataset.corners = box.corners.join(" ");
      item.dataset.confirmed = String(box.confirmed);
      item.dataset.ignored = String(Boolean(box.ignored));
      if (index === boxes.selected) item.className = "selected";
      item.addEventListener("click", () => onSelect(index));
      return item;
    });
    find("boxes").replaceChildren(...items);
    items[boxes.selected]?.scrollIntoView({block: "nearest"});
    find("no-boxes").hidden = items.length > 0 || Boolean(boxes.doc.problem);
    find("verified").hidden = !boxes.verified;
  }

  showClasses(classes, current, onChoose) {
    const items = classes.map(({name, color}, index) => {
      const item = entry(color, name, index < 9 ? String(index + 1) : "");
      if (name === current) item.className = "selected";
      item.addEventListener("click", () => onChoose(name));
      return item;
    });
    find("classes").replaceChildren(...items);
    find("no-classes").hidden = items.length > 0;
  }

  showDoc(doc) {
    find("name").textContent = doc.name;
    find("name").title = doc.file;
    document.title = `${doc.name} – tfodhelper`;
    find("notes").replaceChildren(...doc.notes.map((note) => {
      const item = document.createElement("li");
      item.textContent = note;
      return item;
    }));
  }

  showCounts(counts) {
    const left = counts.total - counts.verified;
    find("progress").max = Math.max(1, counts.total);
    find("progress").value = counts.verified;
    find("counts").textContent = `${counts.verified} of ${counts.total} accepted, ${left} left`;
  }

  showSaved(state, text) {
    const saved = find("saved");
    saved.className = {saving: "unsaved", failed: "failed"}[state] || "";
    saved.textContent = {saving: "saving", saved: "saved", failed: "not saved"}[state] || state;
    if (state === "failed") this.say(text);
    else if (state === "saved" && this.isFailure) this.say("");
    this.isFailure = state === "failed";
  }

  say(text, isCalm = false) {
    const message = find("message");
    message.textContent = text;
    message.hidden = !text;
    message.className = isCalm ? "calm" : "";
    this.isFailure = false;
  }

  get isDialogOpen() {
    return document.querySelector("dialog[open]") !== null;
  }

  showHelp() {
    find("help").showModal();
  }

  // Resolves to whether the person wants to finish.
  askEnd(text) {
    find("end-text").textContent = text;
    const dialog = find("end");
    dialog.returnValue = "";
    dialog.showModal();
    find("end-yes").focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), {once: true});
    });
  }

  // Resolves to the name of a class that the person chose by typing, or null.
  choose(classes, isFixed) {
    const [dialog, filter, list, note] = ["choose", "filter", "choices", "choose-note"].map(find);
    let names = [];
    let at = 0;
    let chosen = null;
    const matching = () => {
      const text = filter.value.trim().toLowerCase();
      const fits = classes.filter(({name}) => name.toLowerCase().includes(text));
      const isFirst = ({name}) => name.toLowerCase().startsWith(text) ? 0 : 1;
      fits.sort((a, b) => isFirst(a) - isFirst(b));
      const isNew = text && !isFixed && !classes.some(({name}) => name === filter.value.trim());
      return [...fits, ...(isNew ? [{name: filter.value.trim(), color: "transparent", isNew}] : [])];
    };
    const pick = (name) => {
      chosen = name;
      dialog.close();
    };
    const show = () => {
      names = matching();
      at = Math.min(Math.max(at, 0), Math.max(0, names.length - 1));
      list.replaceChildren(...names.map(({name, color, isNew}, index) => {
        const item = entry(color, name, isNew ? "new class" : "");
        if (index === at) item.className = "selected";
        item.addEventListener("click", () => pick(name));
        return item;
      }));
      list.children[at]?.scrollIntoView({block: "nearest"});
    };
    const onKey = (event) => {
      const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
      if (step) {
        at += step;
        show();
        event.preventDefault();
      } else if (event.key === "Enter") {
        event.preventDefault();
        event.stopPropagation(); // it would also confirm a box
        if (names[at]) pick(names[at].name);
      }
    };
    const onInput = () => {
      at = 0;
      show();
    };
    filter.value = "";
    note.textContent = isFixed ? "Type a part of the name; Enter chooses." : "Type a part of the name, or a new name; Enter chooses.";
    show();
    filter.addEventListener("keydown", onKey);
    filter.addEventListener("input", onInput);
    dialog.showModal();
    filter.focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        filter.removeEventListener("keydown", onKey);
        filter.removeEventListener("input", onInput);
        resolve(chosen);
      }, {once: true});
    });
  }
}
