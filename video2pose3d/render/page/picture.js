// The camera's picture, with the 2D keypoints on it.

const flat = $("flat").getContext("2d");

/** The 2D keypoints on the camera's picture, or on its video, as the overlay draws them. */
function drawFlat(frame) {
  const { width, height } = prepare(flat);
  if (!width) return;
  const scale = width / data.size[0];
  const ahead = data.cameras[0].axes[2];
  const here = people.filter((person) => person.shown && person.rowAt[frame] >= 0);
  const depth = (person) => dot(ahead, person.named(person.rowAt[frame], "pelvis"));
  for (const person of here.sort((a, b) => depth(b) - depth(a))) {
    drawKeypoints(person, person.rowAt[frame], scale, Math.sqrt(width * height));
  }
}

function drawKeypoints(person, row, scale, picture) {
  const { limbs: chains, sides } = person.flat;
  const points = sides.map((_, j) => [0, 1].map((i) => person.keypoints(row, 2 * j + i) * scale));
  const sure = points.map((p, j) => person.scores(row, j) >= 0.3 && p.every(Number.isFinite));
  const seen = points.filter((_, j) => sure[j]);
  if (!seen.length) return;
  const [low, high] = [Math.min, Math.max].map((f) =>
    [0, 1].map((i) => f(...seen.map((p) => p[i]))),
  );
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  const whole = person.seen(row);
  const line =
    Math.max(1.5, clamp(0.013 * extent, 0.0018 * picture, 0.006 * picture)) * (whole ? 1 : 0.6);
  flat.setLineDash(whole ? [] : [3 * line, 3 * line]);
  for (const chain of chains) {
    const path = new Path2D();
    for (let i = 1; i < chain.length; i++) {
      const [a, b] = [chain[i - 1], chain[i]];
      if (!sure[a] || !sure[b]) continue;
      path.moveTo(...points[a]);
      path.lineTo(...points[b]);
    }
    const side = look.sides[sides[chain[chain.length - 1]]];
    for (const [ink, thick] of [
      [look.ink, 1.9 * line],
      [side, line],
    ]) {
      flat.strokeStyle = rgb(ink);
      flat.lineWidth = thick;
      flat.stroke(path);
    }
  }
  flat.setLineDash([]);
  const x = clamp(low[0], 12, size(flat.canvas).width - 12);
  pill(flat, labelOf(person, row), person.colour, x, Math.max(low[1] - 2 * line, 15), 15);
}
