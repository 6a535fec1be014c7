// Shows the image with its boxes: zoom, and full resolution where it can be seen.

const HANDLE_PX = 9;
const PART_DELAY_MS = 120;
const MOST_ZOOM = 40;
const IGNORED = {color: "#c4c8cc", selected: "#4d5359", fill: "#9aa0a655", dash: [3, 4], stripePx: 9};

export class View {
  constructor(canvas, boxes, colorOf) {
    Object.assign(this, {canvas, boxes, colorOf, scale: 1, left: 0, top: 0, picture: null, part: null, draft: null});
    this.context = canvas.getContext("2d");
    this.isQueued = false;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  get doc() {
    return this.boxes.doc;
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  resize() {
    const {width, height} = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    [this.width, this.height] = [width, height];
    this.fit();
  }

  // Shows another image; resolves once its picture is there.
  async show(doc) {
    this.picture = this.part = this.draft = null;
    this.fit();
    if (doc.problem) return;
    if (this.prefetched?.index !== doc.index) this.prefetch(doc.index);
    const {picture} = this.prefetched;
    this.prefetched = null;
    await picture.decode();
    if (this.doc.index === doc.index) {
      this.picture = picture;
      this.draw();
    }
  }

  // Asks for the picture that is probably shown next.
  prefetch(index) {
    const picture = new Image();
    picture.src = `images/${index}/picture`;
    this.prefetched = {index, picture};
  }

  fit() {
    if (!this.doc || !this.doc.width || !this.width) return this.draw();
    this.scale = Math.min(this.width / this.doc.width, this.height / this.doc.height) * 0.97;
    this.left = (this.width - this.doc.width * this.scale) / 2;
    this.top = (this.height - this.doc.height * this.scale) / 2;
    return this.changed();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const least = Math.min(this.width / this.doc.width, this.height / this.doc.height) / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), MOST_ZOOM);
    this.left = x - (x - this.left) * scale / this.scale;
    this.top = y - (y - this.top) * scale / this.scale;
    this.scale = scale;
    this.changed();
  }

  // Shows a box with some room around it.
  zoomTo([x0, y0, x1, y1]) {
    const room = Math.min(this.width / (x1 - x0), this.height / (y1 - y0)) * 0.5;
    this.scale = Math.min(room, MOST_ZOOM);
    this.left = this.width / 2 - (x0 + x1) / 2 * this.scale;
    this.top = this.height / 2 - (y0 + y1) / 2 * this.scale;
    this.changed();
  }

  pan(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.changed();
  }

  toImage(x, y) {
    return [(x - this.left) / this.scale, (y - this.top) / this.scale];
  }

  // The part of the image that is seen: left, top, right, bottom.
  seen() {
    const [x0, y0] = this.toImage(0, 0);
    const [x1, y1] = this.toImage(this.width, this.height);
    const {width, height} = this.doc;
    return [Math.max(0, x0), Math.max(0, y0), Math.min(width, x1), Math.min(height, y1)];
  }

  changed() {
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetchPart(), PART_DELAY_MS);
  }

  // Where the picture has fewer pixels than the screen, asks for the part that is seen.
  async fetchPart() {
    if (!this.picture || !this.doc) return;
    const wanted = Math.min(1, this.scale * this.ratio);
    if (wanted <= this.picture.naturalWidth / this.doc.width * 1.05) {
      this.part = null;
      return;
    }
    const area = this.seen().map((side, i) => i < 2 ? Math.floor(side) : Math.ceil(side));
    if (area[0] >= area[2] || area[1] >= area[3]) return;
    const [left, top, right, bottom] = area;
    const index = this.doc.index;
    const image = new Image();
    image.src = `images/${index}/part?${new URLSearchParams({left, top, right, bottom, scale: wanted})}`;
    try {
      await image.decode();
    } catch {
      return; // the reduced picture remains
    }
    if (this.doc.index === index) {
      this.part = {image, area};
      this.draw();
    }
  }

  draw() {
    if (this.isQueued) return;
    this.isQueued = true;
    requestAnimationFrame(() => {
      this.isQueued = false;
      this.paint();
    });
  }

  paint() {
    const {context, ratio} = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    if (!this.doc || !this.doc.width) return;
    context.imageSmoothingEnabled = this.scale < 3;
    if (this.picture) {
      context.drawImage(this.picture, this.left, this.top, this.doc.width * this.scale, this.doc.height * this.scale);
    }
    if (this.part) {
      const [x0, y0, x1, y1] = this.part.area;
      const place = [this.left + x0 * this.scale, this.top + y0 * this.scale];
      context.drawImage(this.part.image, ...place, (x1 - x0) * this.scale, (y1 - y0) * this.scale);
    }
    const others = this.boxes.list.filter((box, index) => index !== this.boxes.selected);
    others.filter((box) => box.ignored).forEach((box) => this.paintBox(box, false)); // below what is learned
    others.filter((box) => !box.ignored).forEach((box) => this.paintBox(box, false));
    if (this.boxes.box) this.paintBox(this.boxes.box, true);
    if (this.draft) this.paintBox({corners: this.draft, class: "", confirmed: true, score: null}, false);
  }

  paintBox(box, isSelected) {
    const {context} = this;
    const [x, y, width, height] = this.onScreen(box.corners);
    const color = box.ignored ? IGNORED.color : this.colorOf(box.class);
    if (box.ignored) this.paintStripes(x, y, width, height);
    context.setLineDash([]);
    context.lineWidth = isSelected ? 5 : 3.5;
    context.strokeStyle = isSelected ? "#ffffff" : "#000000a0";
    context.strokeRect(x, y, width, height);
    const isSure = box.confirmed || this.boxes.verified;
    context.setLineDash(box.ignored ? IGNORED.dash : isSure ? [] : [7, 5]);
    context.lineWidth = isSelected ? 3 : 2;
    context.strokeStyle = box.ignored && isSelected ? IGNORED.selected : color; // the line below is white then
    context.strokeRect(x, y, width, height);
    context.setLineDash([]);
    if (isSelected) {
      context.fillStyle = color + "26";
      context.fillRect(x, y, width, height);
      this.handles(box.corners).forEach(([hx, hy]) => {
        context.fillStyle = "#ffffff";
        context.fillRect(hx - 4, hy - 4, 8, 8);
        context.strokeStyle = "#000000";
        context.lineWidth = 1;
        context.strokeRect(hx - 4, hy - 4, 8, 8);
      });
    }
    if (box.class) this.paintName(box, x, y, color);
  }

  // Greys an ignored region: nothing of it is learned.
  paintStripes(x, y, width, height) {
    const {context} = this;
    const [left, right] = [Math.max(x, 0), Math.min(x + width, this.width)]; // what is not on the screen is not drawn
    const [top, bottom] = [Math.max(y, 0), Math.min(y + height, this.height)];
    if (left >= right || top >= bottom) return;
    context.save();
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    context.fillStyle = IGNORED.fill;
    context.fillRect(left, top, right - left, bottom - top);
    context.setLineDash([]);
    context.lineWidth = 1;
    context.strokeStyle = IGNORED.color;
    context.beginPath();
    const skipped = Math.floor((left + top - x - y) / IGNORED.stripePx);
    for (let sum = x + y + skipped * IGNORED.stripePx; sum < right + bottom; sum += IGNORED.stripePx) {
      context.moveTo(sum - top, top);
      context.lineTo(sum - bottom, bottom);
    }
    context.stroke();
    context.restore();
  }

  paintName(box, x, y, color) {
    const {context} = this;
    const score = box.score === null ? "" : ` ${Math.round(box.score * 100)} %`;
    const text = `${box.class}${score}${box.ignored ? ", ignored" : ""}`;
    context.font = "13px system-ui, sans-serif";
    const width = context.measureText(text).width + 10;
    const top = Math.max(0, y - 19);
    context.fillStyle = "#000000b8";
    context.fillRect(x - 1, top, width, 18);
    context.fillStyle = color;
    context.fillRect(x - 1, top, 4, 18);
    context.fillStyle = "#ffffff";
    context.fillText(text, x + 6, top + 13.5);
  }

  onScreen([x0, y0, x1, y1]) {
    return [this.left + x0 * this.scale, this.top + y0 * this.scale, (x1 - x0) * this.scale, (y1 - y0) * this.scale];
  }

  // The places on the screen where a box can be taken, in the order of sides: [x, y, [x side, y side]].
  handles(corners) {
    const [x, y, width, height] = this.onScreen(corners);
    const result = [];
    for (const [i, sx] of [[0, 0], [null, 0.5], [2, 1]]) {
      for (const [j, sy] of [[1, 0], [null, 0.5], [3, 1]]) {
        if (i !== null || j !== null) result.push([x + width * sx, y + height * sy, [i, j]]);
      }
    }
    return result;
  }

  // What is at a point of the screen: a handle of the selected box, a box, or nothing.
  hit(x, y) {
    if (this.boxes.box) {
      const near = this.handles(this.boxes.box.corners).find(([hx, hy]) =>
        Math.abs(hx - x) <= HANDLE_PX && Math.abs(hy - y) <= HANDLE_PX);
      if (near) return {handle: near[2]};
    }
    const [px, py] = this.toImage(x, y);
    const inside = this.boxes.list.map(({corners}, index) => ({corners, index})).filter(({corners: [x0, y0, x1, y1]}) =>
      px >= x0 && px <= x1 && py >= y0 && py <= y1);
    const area = ({corners: [x0, y0, x1, y1]}) => (x1 - x0) * (y1 - y0);
    inside.sort((a, b) => area(a) - area(b));
    return inside.length ? {box: inside[0].index} : {};
  }
}
