// Base class of the explorables that run: a clock and the buttons Run (Pause while running), Step and Reset.
import { buttons } from "./controls.js";
import { Clock, Stage } from "./stage.js";

/**
 * A subclass defines restart(); single(), one step; advance(seconds), which returns false to stop the clock; finished();
 * and report(atOnce).
 */
export class Running {
  /** @param more additional buttons, in the form of `buttons` */
  constructor(model, el, more = {}) {
    this.stage = new Stage(model, el);
    this.stage.restart = () => this.restart();
    this.owed = 0; // steps that are due according to the clock and not done yet
    this.clock = new Clock(this.stage, (seconds) => this.advance(seconds), (running) => this.showRunning(running));
    this.buttons = buttons({
      Run: () => this.runOrPause(),
      Step: () => this.single(),
      Reset: () => this.restart(),
      ...more,
    });
  }

  runOrPause() {
    if (!this.clock.running && this.finished()) this.restart();
    this.owed = 0;
    this.clock.toggle();
  }

  showRunning(running) {
    this.buttons.button("Run").textContent = running ? "Pause" : "Run";
    if (!running) this.report(true);
  }
}
