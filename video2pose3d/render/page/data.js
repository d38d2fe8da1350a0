// What viewer.html runs: unpack the data, look from somewhere, draw, play. No library, no request.
// Points are [x, y, z] metres in WORLD: y up, floor at 0, +z towards the camera that filmed.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const look = data.look;

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const add = (a, b, k = 1) => [a[0] + k * b[0], a[1] + k * b[1], a[2] + k * b[2]];
const scaled = (a, k) => a.map((x) => x * k);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const onFloor = (p) => [p[0], 0, p[2]];
const mix = (a, b, part) => a.map((x, i) => Math.round(x + (b[i] - x) * part));
const rgb = (colour, alpha = 1) => `rgb(${colour.join(" ")} / ${alpha})`;
const range = (n) => Array.from({ length: n }, (_, i) => i);

// The data: what viewer.py packed, and people made of it.

async function unpack({ step, rows, packed }) {
  const text = atob(packed);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const whole = new Int32Array(await new Response(stream).arrayBuffer());
  for (let i = 1; i < whole.length; i++) if (i % rows) whole[i] += whole[i - 1];
  return (row, column = 0) => {
    const steps = whole[column * rows + row];
    return steps === -(2 ** 31) ? NaN : steps * step;
  };
}

// What is there, and what of it is shown.
const people = [];
let times = [0]; // seconds of the video's frames
const shows = { trail: true, rig: data.several, preset: "home", camera: 0, follow: null };

class Person {
  static async of(told, frames) {
    const person = Object.assign(new Person(), told, { shown: true, rows: told.frames.rows });
    for (const key of ["frames", "seen", "contact", "joints", "keypoints", "scores"]) {
      person[key] = await unpack(told[key]);
    }
    // For each frame of the video: the row with it, or none; and the last row before it.
    person.rowAt = new Int32Array(frames).fill(-1);
    person.lastAt = new Int32Array(frames);
    for (let row = 0; row < person.rows; row++) person.rowAt[person.frames(row)] = row;
    for (let frame = 1; frame < frames; frame++) {
      person.lastAt[frame] = Math.max(person.rowAt[frame], person.lastAt[frame - 1]);
    }
    return person;
  }

  joint(row, j) {
    return [this.joints(row, 3 * j), this.joints(row, 3 * j + 1), this.joints(row, 3 * j + 2)];
  }

  named(row, name) {
    return this.joint(row, this.body.places[name]);
  }

  pelvis(row) {
    return onFloor(this.named(row, "pelvis"));
  }

  bones(row) {
    const { neck, head } = this.body.places;
    return this.body.bones.map(([start, stop], i) => {
      let [a, b] = [this.joint(row, start), this.joint(row, stop)];
      if (start === neck && stop === head) {
        const bone = add(b, a, -1);
        [a, b] = look.head.map((part) => add(a, bone, part));
      }
      return { a, b, ra: this.radii[i][0], rb: this.radii[i][1], side: this.body.sides[stop] };
    });
  }
}
