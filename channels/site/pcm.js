/**
 * Samples as they travel between this page and the server: signed 16-bit little-endian PCM ("audio/l16") at 16 kHz, in base64.
 *
 * Pure functions, used by the page and by its tests. Floats are -1..1; a frame is 20 ms, 320 samples, 640 bytes.
 */

export const WIRE_RATE_HZ = 16000;
export const FRAME_MS = 20;
export const FRAME_SAMPLES = (WIRE_RATE_HZ / 1000) * FRAME_MS;

/** Floats to 16-bit samples. What lies outside -1..1 is clipped. @param {Float32Array} floats @returns {Int16Array} */
export function toL16(floats) {
  const samples = new Int16Array(floats.length);
  for (let i = 0; i < floats.length; i += 1) {
    const clipped = Math.max(-1, Math.min(1, floats[i]));
    samples[i] = Math.round(clipped * 32767);
  }
  return samples;
}

/** 16-bit samples to floats. @param {Int16Array} samples @returns {Float32Array} */
export function fromL16(samples) {
  const floats = new Float32Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) floats[i] = samples[i] / 32768;
  return floats;
}

/** @param {Int16Array} samples @returns {string} base64 of the samples, little-endian whatever the machine is */
export function encode(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  for (let i = 0; i < samples.length; i += 1) view.setInt16(i * 2, samples[i], true);
  let binary = "";
  for (let i = 0; i < view.byteLength; i += 1) binary += String.fromCharCode(view.getUint8(i));
  return btoa(binary);
}

/** The inverse of {@link encode}. A trailing odd byte is dropped. Throws on text that is not base64. @returns {Int16Array} */
export function decode(payload) {
  const binary = atob(payload);
  const samples = new Int16Array(binary.length >> 1);
  for (let i = 0; i < samples.length; i += 1) {
    samples[i] = ((binary.charCodeAt(i * 2 + 1) << 8) | binary.charCodeAt(i * 2)) << 16 >> 16;
  }
  return samples;
}

/** How loud a frame is, 0..1: root mean square. @param {Float32Array} floats @returns {number} */
export function loudness(floats) {
  if (floats.length === 0) return 0;
  let sum = 0;
  for (let i = 0; i < floats.length; i += 1) sum += floats[i] * floats[i];
  return Math.sqrt(sum / floats.length);
}
