// Talks to the server: loads images, and saves changes one after another. What is shown as saved is on disk.

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  const value = await answer.json();
  if (!answer.ok) {
    const error = new Error(value.error || answer.statusText);
    error.isConflict = Boolean(value.conflict);
    error.isAnswer = true;
    throw error;
  }
  return value;
}

export const describe = () => call("session");
export const open = (index) => call(`images/${index}`);
export const findNext = (leaving) => call("next", {leaving});
export const spend = (index, seconds) => call(`images/${index}/time`, {seconds});
export const end = () => call("end", {});

const RETRY_MS = 1500;

// Saves states of images. At most one request is under way; of what waits behind it, only the last state is sent.
export class Saver {
  constructor(onState, onSaved) {
    this.onState = onState;
    this.onSaved = onSaved;
    this.waiting = null;
    this.running = null;
    this.failed = null; // why the last state could not be saved, until it is saved or given up
  }

  // doc: the image with its version; state: {boxes, verified, exists}; seconds: function that takes the time spent.
  save(doc, state, seconds) {
    this.waiting = {doc, state, seconds};
    this.failed = null;
    this.onState("saving", "");
    if (!this.running) {
      this.running = this.run().finally(() => { this.running = null; });
    }
    return this.running;
  }

  get isIdle() {
    return !this.running && !this.waiting && !this.failed;
  }

  giveUp() {
    this.waiting = null;
    this.failed = null;
  }

  // Resolves once nothing is under way; false if something could not be saved.
  async settle() {
    while (this.running) await this.running;
    return !this.failed;
  }

  async run() {
    let spent = 0;
    while (this.waiting) {
      const {doc, state, seconds} = this.waiting;
      this.waiting = null;
      spent += seconds();
      const boxes = state.exists ? state.boxes.map((box) => ({
        source: box.source, class: box.class, difficult: box.difficult, confirmed: box.confirmed, ignored: box.ignored,
        corners: box.corners, score: box.score, weights: box.weights,
      })) : null;
      const edit = {version: doc.version, base: doc.base, verified: state.verified, seconds: spent, boxes};
      try {
        const answer = await call(`images/${doc.index}`, edit);
        spent = 0;
        doc.version = answer.version;
        doc.exists = answer.exists;
        this.onSaved(doc, answer);
        if (!this.waiting) this.onState("saved", "");
      } catch (error) {
        if (!error.isAnswer) { // the server does not answer
          this.onState("failed", "not saved: the server does not answer");
          this.waiting = this.waiting || {doc, state, seconds};
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
          continue;
        }
        this.failed = error;
        this.waiting = null;
        this.onState("failed", error.message, error.isConflict);
        return;
      }
    }
  }
}
