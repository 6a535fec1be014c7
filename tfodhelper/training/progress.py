"""The line that shows the progress of training."""

import time

from tfodhelper import console, plain_text, terminal
from tfodhelper.fields import Losses


class TrainingProgress:
    """Shows step, losses, learning rate, images per second and the time left; plain lines if not on a terminal.

    Args:
      num_steps: the last step.
      batch_size: images per step, over all replicas.
      start_step: where this process begins.
      loss_terms: {name of a loss: the word for it}, see `families.spec.Family`.
      every_s: seconds between lines when the output is not a terminal.
    """

    def __init__(self, num_steps, batch_size, start_step, loss_terms, every_s=15.0):
        self._num_steps, self._batch_size, self._every_s = num_steps, batch_size, every_s
        self._words = {**loss_terms, Losses.REGULARIZATION: "regularization"}
        self._tty = terminal.is_terminal()
        self._step, self._time, self._last = start_step, None, 0.0
        self._rate = None

    def pause(self):
        """Leaves time that is not training (evaluation, saving) out of the rate."""
        self._time = None

    def show(self, step, logs):
        """Shows the state after a few steps, with their mean losses.

        Args:
          step: number of finished steps.
          logs: loss and learning-rate tags with their values.
        """
        now = time.monotonic()
        if self._time is not None and step > self._step:
            rate = (step - self._step) / (now - self._time)
            self._rate = rate if self._rate is None else 0.7 * self._rate + 0.3 * rate
        self._step, self._time = step, now
        if not self._tty and step < self._num_steps and now - self._last < self._every_s:
            return
        self._last = now
        line = self.line(step, logs)
        if self._tty:
            terminal.write(console.REWRITE + plain_text.one_line(line))
            console.note(line)
        else:
            console.say(line)

    def line(self, step, logs):
        """The text of one state."""
        parts = [f"step {step}/{self._num_steps}", f"loss {float(logs[Losses.TOTAL]):.4f}"]
        parts += [f"{word} {float(logs[key]):.4f}" for key, word in self._words.items() if key in logs]
        parts.append(f"learning_rate {float(logs['learning_rate']):.3g}")
        if self._rate:
            parts.append(f"{self._rate * self._batch_size:.1f} images/s")
            parts.append(f"ETA {console.format_seconds((self._num_steps - step) / self._rate)}")
        return "  ".join(parts)

    def end_line(self):
        """Moves a terminal's cursor past the progress line."""
        if self._tty:
            terminal.write("\n")
