// The boxes of the image that is shown, and how to undo what was done to them.

const COALESCE_MS = 900;

const copy = (boxes) => boxes.map((box) => ({ignored: false, weights: {}, ...box, corners: [...box.corners]}));

export class Boxes {
  constructor() {
    this.doc = null;
    this.list = [];
    this.selected = -1;
    this.undoable = [];
    this.redoable = [];
    this.last = {key: null, time: 0};
  }

  load(doc) {
    this.doc = doc;
    this.list = copy(doc.boxes);
    this.verified = Boolean(doc.verified);
    this.exists = Boolean(doc.exists);
    this.selected = this.mostDoubtful();
    this.last.key = null;
    const isStale = (entry) => entry.index === doc.index && entry.base !== doc.base;
    this.undoable = this.undoable.filter((entry) => !isStale(entry));
    this.redoable = this.redoable.filter((entry) => !isStale(entry));
  }

  get box() {
    return this.list[this.selected];
  }

  state() {
    return {boxes: copy(this.list), verified: this.verified, exists: this.exists, selected: this.selected};
  }

  restore(state) {
    this.list = copy(state.boxes);
    this.verified = state.verified;
    this.exists = state.exists;
    this.selected = Math.min(state.selected, this.list.length - 1);
  }

  // Does something and remembers how it was before. Repeated changes with the same key are undone together.
  change(action, key = null) {
    const before = this.state();
    action();
    this.exists = true;
    const now = performance.now();
    const joins = key !== null && key === this.last.key && now - this.last.time < COALESCE_MS && this.undoable.length;
    if (joins) {
      this.undoable.at(-1).after = this.state();
    } else {
      this.undoable.push({index: this.doc.index, base: this.doc.base, before, after: this.state()});
    }
    this.redoable = [];
    this.last = {key, time: now};
  }

  // The index of the box that a person should see next: not confirmed, the lowest score first.
  mostDoubtful() {
    const open = this.list.map((box, index) => ({box, index})).filter(({box}) => !box.confirmed && !this.verified);
    open.sort((a, b) => (a.box.score ?? 2) - (b.box.score ?? 2) || a.index - b.index);
    return open.length ? open[0].index : -1;
  }

  confirm() {
    if (!this.box) return false;
    this.change(() => { Object.assign(this.box, {confirmed: true, weights: {}}); });
    this.selected = this.mostDoubtful();
    return true;
  }

  // An object becomes an ignored region, and the next doubtful box is selected; an ignored region becomes an object.
  toggleIgnored() {
    if (!this.box) return false;
    const ignored = !this.box.ignored;
    this.change(() => { Object.assign(this.box, {ignored, confirmed: true, weights: {}}); });
    if (ignored) this.selected = this.mostDoubtful();
    return true;
  }

  // The image with all its boxes is right.
  accept() {
    this.change(() => {
      this.verified = true;
      this.list.forEach((box) => { Object.assign(box, {confirmed: true, weights: {}}); });
      this.selected = -1;
    });
  }

  remove() {
    if (!this.box) return false;
    this.change(() => {
      this.list.splice(this.selected, 1);
      this.selected = this.mostDoubtful();
    });
    return true;
  }

  add(corners, name) {
    this.change(() => {
      const fitted = this.fit(corners);
      this.list.push({
        source: null, class: name, difficult: false, confirmed: true, ignored: false, weights: {}, score: null,
        corners: fitted,
      });
      this.selected = this.list.length - 1;
    });
  }

  relabel(name) {
    if (!this.box || this.box.class === name) return false;
    this.change(() => { Object.assign(this.box, {class: name, confirmed: true, weights: {}, score: null}); });
    return true;
  }

  toggleDifficult() {
    if (!this.box) return false;
    this.change(() => { this.box.difficult = !this.box.difficult; });
    return true;
  }

  place(corners, key) {
    if (!this.box) return false;
    const fitted = this.fit(corners);
    if (fitted.every((side, i) => side === this.box.corners[i])) return false;
    this.change(() => { Object.assign(this.box, {corners: fitted, confirmed: true, weights: {}, score: null}); }, key);
    return true;
  }

  move(dx, dy) {
    if (!this.box) return false;
    const [x0, y0, x1, y1] = this.box.corners;
    const right = Math.min(Math.max(dx, -x0), this.doc.width - x1);
    const down = Math.min(Math.max(dy, -y0), this.doc.height - y1);
    return this.place([x0 + right, y0 + down, x1 + right, y1 + down], `move ${this.selected}`);
  }

  resize(dx, dy) {
    if (!this.box) return false;
    const [x0, y0, x1, y1] = this.box.corners;
    return this.place([x0, y0, Math.max(x0 + 1, x1 + dx), Math.max(y0 + 1, y1 + dy)], `resize ${this.selected}`);
  }

  // Whole pixels inside the image, at least one wide and high.
  fit(corners) {
    const [xs, ys] = [[corners[0], corners[2]], [corners[1], corners[3]]].map((pair) => pair.sort((a, b) => a - b));
    const [left, right] = this.span(xs, this.doc.width);
    const [top, bottom] = this.span(ys, this.doc.height);
    return [left, top, right, bottom];
  }

  span([low, high], limit) {
    const first = Math.min(Math.max(Math.round(low), 0), limit - 1);
    return [first, Math.max(first + 1, Math.min(Math.round(high), limit))];
  }

  select(step) {
    if (!this.list.length) return;
    const count = this.list.length;
    this.selected = this.selected < 0 ? (step > 0 ? 0 : count - 1) : (this.selected + step + count) % count;
  }
}
