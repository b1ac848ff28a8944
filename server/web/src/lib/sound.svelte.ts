// Two tones for an alarm, made here. Off until somebody turns them on; a browser lets a
// page sound only after it has been clicked or typed at.

const KEPT = 'alarm sound';
/** Hertz, and seconds from the beginning. */
const TONES = [
  [880, 0],
  [660, 0.22],
  [880, 0.44],
] as const;
const LENGTH = 0.18;

class Sound {
  on = $state(localStorage.getItem(KEPT) === 'on');
  /** Whether the browser still waits for a click before it lets this page sound. */
  waits = $state(false);
  #context: AudioContext | undefined;

  constructor() {
    if (!this.on) return;
    this.#open();
    for (const event of ['pointerdown', 'keydown'] as const) {
      window.addEventListener(event, () => void this.#context?.resume(), { passive: true });
    }
  }

  /** On or off; on sounds once, so that everybody knows what to listen for. */
  toggle(): void {
    this.on = !this.on;
    localStorage.setItem(KEPT, this.on ? 'on' : 'off');
    if (!this.on) return;
    this.#open();
    void this.#context?.resume().then(() => this.ring());
  }

  ring(): void {
    const context = this.#context;
    if (!this.on || context?.state !== 'running') return;
    for (const [hertz, from] of TONES) {
      const [tone, volume] = [context.createOscillator(), context.createGain()];
      const begin = context.currentTime + from;
      tone.frequency.value = hertz;
      // Without a slope it would crack.
      volume.gain.setValueAtTime(0, begin);
      volume.gain.linearRampToValueAtTime(0.4, begin + 0.02);
      volume.gain.setValueAtTime(0.4, begin + LENGTH - 0.04);
      volume.gain.linearRampToValueAtTime(0, begin + LENGTH);
      tone.connect(volume).connect(context.destination);
      tone.start(begin);
      tone.stop(begin + LENGTH);
    }
  }

  #open(): void {
    if (this.#context) return;
    const context = new AudioContext();
    const look = () => (this.waits = context.state !== 'running');
    context.addEventListener('statechange', look);
    look();
    this.#context = context;
  }
}

export const sound = new Sound();
