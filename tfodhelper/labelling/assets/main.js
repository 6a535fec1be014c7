// The page for labelling: keys and mouse, and the way from image to image.

import {Boxes} from "./boxes.js";
import * as client from "./client.js";
import {Panels} from "./panels.js";
import {View} from "./view.js";

const POLL_MS = 700;
const IDLE_MS = 30000; // a longer pause is not work on the image

let session = {classes: [], counts: {total: 0, verified: 0, pending: 0}, is_fixed: false};
let current = null; // the class of the next new box
let seen = []; // indices of the images that were shown before
let isBusy = false;
let spent = 0;
let active = performance.now();

const colorOf = (name) => session.classes.find((each) => each.name === name)?.color || "#b8b8b8";
const boxes = new Boxes();
const panels = new Panels(colorOf);
const view = new View(document.getElementById("canvas"), boxes, colorOf);
const saver = new client.Saver(showSaved, onSaved);

function showSaved(state, text, isConflict) {
  panels.showSaved(state, isConflict ? `${text}\n\nNothing was overwritten. R loads the file again.` : text);
}

function onSaved(doc, answer) {
  takeSession(answer);
}

function takeSession(value) {
  session = {classes: value.classes, counts: value.counts, is_fixed: value.is_fixed};
  current = current ?? session.classes[0]?.name ?? null;
  panels.showCounts(session.counts);
  panels.showClasses(session.classes, boxes.box?.class ?? current, chooseClass);
}

function noteActivity() {
  const now = performance.now();
  spent += Math.min(now - active, IDLE_MS);
  active = now;
}

function takeSeconds() {
  const seconds = Math.floor(spent) / 1000;
  spent -= seconds * 1000; // what is left counts next time: quick keys would add up to nothing otherwise
  return seconds;
}

function refresh() {
  panels.showBoxes(boxes, (index) => { boxes.selected = index; refresh(); });
  panels.showClasses(session.classes, boxes.box?.class ?? current, chooseClass);
  view.draw();
}

function changed(isChanged = true) {
  if (isChanged && boxes.doc) {
    panels.say("");
    saver.save(boxes.doc, boxes.state(), takeSeconds);
  }
  refresh();
}

// Does something that leads to another image; whatever is under way is saved first.
async function busy(action) {
  if (isBusy) return;
  isBusy = true;
  try {
    if (await saver.settle()) await action();
  } catch (error) {
    panels.say(error.isAnswer ? error.message : "The server does not answer: the page has ended, or its process. "
      + "What was shown as saved is saved. Type the same command again, and open its new address.");
  } finally {
    isBusy = false;
  }
}

async function show(index, isBack = false) {
  const former = boxes.doc;
  if (former) {
    if (!isBack && former.index !== index) seen.push(former.index);
    noteActivity();
    const seconds = takeSeconds();
    if (seconds > 0) await client.spend(former.index, seconds);
  }
  const doc = await client.open(index);
  boxes.load(doc);
  takeSession(doc.session);
  panels.showDoc(doc);
  panels.showSaved(doc.problem ? "cannot be labelled" : doc.exists ? "saved" : "no XML yet", "");
  panels.say(doc.problem || (doc.pending ? "The detector has not seen this image yet." : ""));
  saver.giveUp();
  active = performance.now();
  refresh();
  view.show(doc).catch(() => panels.say("The picture cannot be shown: the file is damaged, or no longer exists."));
  document.body.dataset.index = String(index);
}

async function goNext(leaving) {
  const answer = await client.findNext(leaving);
  takeSession(answer);
  if (answer.index !== null) {
    await show(answer.index);
    if (answer.following !== null) view.prefetch(answer.following);
  } else if (session.counts.pending) {
    panels.say(`The detector is looking at the images: ${session.counts.pending} left.`, true);
    setTimeout(() => busy(() => goNext(null)), POLL_MS);
  } else {
    panels.say(`All ${session.counts.total} images are accepted. Q finishes; P and U lead back.`, true);
    document.body.dataset.index = "none";
  }
}

function accept() {
  if (!boxes.doc || boxes.doc.problem) return;
  if (!boxes.verified || !boxes.exists) {
    boxes.accept();
    changed();
  }
  busy(() => goNext(null));
}

async function travel(from, to, side) {
  const entry = from.pop();
  if (!entry) return;
  if (!boxes.doc || entry.index !== boxes.doc.index) await show(entry.index);
  if (entry.base !== boxes.doc.base) {
    panels.say("This change cannot be undone: the file was changed by another program.");
    return;
  }
  to.push(entry);
  boxes.restore(entry[side]);
  boxes.last.key = null;
  changed();
}

async function chooseClass(name) {
  current = name;
  changed(boxes.relabel(name));
}

async function askClass() {
  return panels.choose(session.classes, session.is_fixed);
}

async function drawInTheMiddle() {
  if (!boxes.doc || boxes.doc.problem) return;
  const name = current ?? await askClass();
  if (!name) return;
  current = name;
  const [x0, y0, x1, y1] = view.seen();
  const [width, height] = [(x1 - x0) / 4, (y1 - y0) / 4];
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  boxes.add([x - width / 2, y - height / 2, x + width / 2, y + height / 2], name);
  changed();
}

async function finish() {
  const {counts} = session;
  const left = counts.total - counts.verified;
  const text = left ? `${counts.verified} of ${counts.total} images are accepted, ${left} are left for another time.`
    : `All ${counts.total} images are accepted.`;
  if (!await panels.askEnd(`${text} Finish?`)) return;
  await busy(async () => {
    noteActivity();
    const seconds = takeSeconds();
    if (boxes.doc && seconds > 0) await client.spend(boxes.doc.index, seconds);
    await client.end();
    panels.say("Finished. This page can be closed; the program says what comes next.", true);
    boxes.doc = null;
    document.body.dataset.index = "ended";
  });
}

// Pixels of the image that an arrow key means: at least one, and at least one of the screen.
const step = (event) => Math.max(1, Math.round((event.shiftKey ? 10 : 1) / view.scale));

function onArrow(event, dx, dy) {
  const size = step(event);
  if (!boxes.box) view.pan(-dx * 60, -dy * 60);
  else if (event.ctrlKey || event.metaKey) changed(boxes.resize(dx * size, dy * size));
  else changed(boxes.move(dx * size, dy * size));
}

const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const goBack = () => busy(async () => { if (seen.length) await show(seen.pop(), true); });
const goTo = (index) => busy(async () => { if (index >= 0 && index < session.counts.total) await show(index); });
// What the server refused may be undone; what somebody else changed has to be loaded again.
const forgive = () => { if (saver.failed && !saver.failed.isConflict) saver.giveUp(); };
const undo = () => { forgive(); busy(() => travel(boxes.undoable, boxes.redoable, "before")); };
const redo = () => { forgive(); busy(() => travel(boxes.redoable, boxes.undoable, "after")); };
const remove = () => changed(boxes.remove());
const sayConfirmed = () => {
  if (boxes.list.length && boxes.mostDoubtful() < 0) panels.say("All boxes are confirmed. Space accepts the image.", true);
};
const COMMANDS = {
  " ": accept,
  Enter: () => {
    changed(boxes.confirm());
    sayConfirmed();
  },
  i: () => {
    changed(boxes.toggleIgnored());
    if (!boxes.box) sayConfirmed();
  },
  Delete: remove,
  Backspace: remove,
  x: remove,
  w: drawInTheMiddle,
  c: async () => { const name = await askClass(); if (name) chooseClass(name); },
  f: () => changed(boxes.toggleDifficult()),
  Escape: () => { boxes.selected = -1; view.draft = null; panels.say(""); refresh(); },
  n: () => busy(() => goNext(boxes.doc?.index ?? null)),
  p: goBack,
  u: undo,
  y: redo,
  r: () => { saver.giveUp(); busy(() => boxes.doc && show(boxes.doc.index)); },
  "]": () => goTo((boxes.doc?.index ?? -1) + 1),
  "[": () => goTo((boxes.doc?.index ?? 1) - 1),
  PageDown: () => goTo((boxes.doc?.index ?? -1) + 1),
  PageUp: () => goTo((boxes.doc?.index ?? 1) - 1),
  "+": () => view.zoom(1.25),
  "=": () => view.zoom(1.25),
  "-": () => view.zoom(0.8),
  0: () => view.fit(),
  z: () => { if (boxes.box) view.zoomTo(boxes.box.corners); },
  q: finish,
  "?": () => panels.showHelp(),
};
const WITH_CONTROL = {z: undo, y: redo, Z: redo};

window.addEventListener("keydown", (event) => {
  if (panels.isDialogOpen || event.altKey || isBusy && event.key !== "?") return;
  const control = event.ctrlKey || event.metaKey;
  if (ARROWS[event.key]) {
    event.preventDefault();
    if (boxes.doc && !boxes.doc.problem) onArrow(event, ...ARROWS[event.key]);
  } else if (event.key === "Tab" && !control) {
    event.preventDefault();
    boxes.select(event.shiftKey ? -1 : 1);
    refresh();
  } else if (control) {
    const action = WITH_CONTROL[event.shiftKey ? event.key.toUpperCase() : event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  } else if (/^[1-9]$/.test(event.key)) {
    const chosen = session.classes[Number(event.key) - 1];
    if (chosen) chooseClass(chosen.name);
  } else {
    const action = COMMANDS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  }
});

function takeMouse(canvas) {
  let drag = null;
  const place = (event) => {
    const {left, top} = canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (boxes.doc) view.zoom(Math.exp(-event.deltaY / 500), ...place(event));
  }, {passive: false});
  canvas.addEventListener("pointerdown", (event) => {
    if (!boxes.doc || boxes.doc.problem || isBusy) return;
    const [x, y] = place(event);
    canvas.setPointerCapture(event.pointerId);
    if (event.button !== 0 || event.shiftKey) {
      drag = {kind: "pan", x, y};
      return;
    }
    const hit = event.ctrlKey ? {} : view.hit(x, y);
    if (hit.handle) {
      drag = {kind: "resize", sides: hit.handle, corners: [...boxes.box.corners]};
    } else if (hit.box !== undefined) {
      boxes.selected = hit.box;
      drag = {kind: "move", from: view.toImage(x, y), corners: [...boxes.box.corners]};
      refresh();
    } else {
      drag = {kind: "draw", from: view.toImage(x, y), x, y};
    }
    drag.key = `drag ${performance.now()}`;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!drag) return;
    const [px, py] = view.toImage(x, y);
    if (drag.kind === "pan") {
      view.pan(x - drag.x, y - drag.y);
      [drag.x, drag.y] = [x, y];
    } else if (drag.kind === "draw") {
      view.draft = [...drag.from, px, py];
      view.draw();
    } else {
      const [x0, y0, x1, y1] = drag.corners;
      let target = [x0, y0, x1, y1];
      if (drag.kind === "move") {
        const dx = Math.min(Math.max(px - drag.from[0], -x0), boxes.doc.width - x1);
        const dy = Math.min(Math.max(py - drag.from[1], -y0), boxes.doc.height - y1);
        target = [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
      } else {
        const [i, j] = drag.sides;
        if (i !== null) target[i] = px;
        if (j !== null) target[j] = py;
      }
      if (boxes.place(target, drag.key)) {
        boxes.last.time = Infinity; // one drag is undone as one, however long it takes
        drag.isChanged = true;
        refresh();
      }
    }
  });
  canvas.addEventListener("pointerup", async (event) => {
    const done = drag;
    drag = null;
    if (!done || done.kind === "pan") return;
    if (done.kind !== "draw") {
      if (done.isChanged) changed();
      return;
    }
    const corners = view.draft;
    view.draft = null;
    const [x, y] = place(event);
    if (!corners || Math.max(Math.abs(x - done.x), Math.abs(y - done.y)) < 4) {
      boxes.selected = -1;
      refresh();
      return;
    }
    const name = current ?? await askClass();
    if (!name) return refresh();
    current = name;
    boxes.add(corners, name);
    changed();
  });
}

for (const kind of ["keydown", "pointermove", "pointerdown", "wheel"]) {
  window.addEventListener(kind, noteActivity, {passive: true, capture: true});
}
window.addEventListener("beforeunload", (event) => { if (!saver.isIdle) event.preventDefault(); });
document.getElementById("help-button").addEventListener("click", () => panels.showHelp());
document.getElementById("end-button").addEventListener("click", finish);
for (const button of document.querySelectorAll("header button")) button.addEventListener("click", () => button.blur());
takeMouse(document.getElementById("canvas"));
view.resize();
busy(async () => {
  takeSession(await client.describe());
  await goNext(null);
});
