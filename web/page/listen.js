// In the thread of the sound: blocks of the microphone as PCM16, 40 ms each.

const BLOCK = 640;

registerProcessor("listen", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
  }

  process([input]) {
    const samples = input[0] ?? new Float32Array(128); // no microphone any more: silence
    for (const sample of samples) {
      this.block[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled < BLOCK) continue;
      this.port.postMessage({ pcm: this.block.buffer, heard: currentTime + 128 / sampleRate - BLOCK / sampleRate }, [this.block.buffer]);
      this.block = new Int16Array(BLOCK);
      this.filled = 0;
    }
    return true;
  }
});
