// What the pieces share that run: a clock, and the buttons Run (then Pause), Step and Reset.
import { buttons } from "./controls.js";
import { Clock, Stage } from "./stage.js";

/**
 * A piece of its own has restart(); single(), one step; advance(seconds), false where the clock should stop; finished();
 * report(atOnce).
 */
export class Running {
  /** @param more further buttons, as `buttons` takes them */
  constructor(model, el, more = {}) {
    this.stage = new Stage(model, el);
    this.stage.restart = () => this.restart();
    this.owed = 0; // steps that the clock asked for and that are still to be done
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
