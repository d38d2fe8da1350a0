// Where we look from: round a target, through the lens of a picture that is fitted into the stage.

const FOCAL = 0.5 / Math.tan(Math.PI / 12); // 30 degrees from top to bottom, as the animation has
const LENS = { focal: [FOCAL, FOCAL], size: [0, 1], centre: [0, 0.5] };
const view = { azimuth: 0, elevation: 0, roll: 0, target: [0, 0, 0], distance: 1, lens: LENS };

/** Right, down and forward of somebody at these angles: azimuth 0 looks along -z. */
function axesOf(azimuth, elevation, roll) {
  const [s, c] = [Math.sin(azimuth), Math.cos(azimuth)];
  const [up, level] = [Math.sin(elevation), Math.cos(elevation)];
  const [right, down] = [
    [c, 0, -s],
    [s * up, -level, c * up],
  ];
  return [
    add(scaled(right, Math.cos(roll)), down, Math.sin(roll)),
    add(scaled(down, Math.cos(roll)), right, -Math.sin(roll)),
    [-level * s, -up, -level * c],
  ];
}

function anglesOf([right, down, forward]) {
  // Who looks straight up or down has the way that the picture's top or bottom points.
  const steep = Math.hypot(forward[0], forward[2]) < 0.05;
  const ahead = steep ? scaled(down, Math.sign(forward[1])) : forward;
  const azimuth = Math.atan2(-ahead[0], -ahead[2]);
  const elevation = Math.asin(clamp(-forward[1], -1, 1));
  const [r, d] = axesOf(azimuth, elevation, 0);
  return { azimuth, elevation, roll: Math.atan2(dot(right, d), dot(right, r)) };
}

function followed(frame) {
  const person = shows.follow;
  return person?.rows ? person.pelvis(person.lastAt[frame]) : [0, 0, 0];
}

function eye(width, height, frame) {
  const { lens } = view;
  const scale = Math.min(width / lens.size[0], height / lens.size[1]);
  const axes = axesOf(view.azimuth, view.elevation, view.roll);
  const target = add(view.target, followed(frame));
  return {
    axes,
    target,
    scale,
    width,
    height,
    position: add(target, axes[2], -view.distance),
    focal: scaled(lens.focal, scale),
    middle: [width, height].map((x, i) => x / 2 + (lens.centre[i] - lens.size[i] / 2) * scale),
  };
}

const NEAR = 0.02;

/** A point of WORLD as the eye has it: metres to the right, down and ahead. */
function seenFrom(from, point) {
  const away = add(point, from.position, -1);
  return from.axes.map((axis) => dot(axis, away));
}

function onPicture(from, [x, y, z]) {
  const [fx, fy] = from.focal;
  return [from.middle[0] + (x * fx) / z, from.middle[1] + (y * fy) / z];
}

/** Pixels of a point, its metres ahead, and how many pixels a metre has there. */
function project(from, point) {
  const [right, down, z] = seenFrom(from, point);
  const near = Math.max(z, NEAR);
  const [x, y] = onPicture(from, [right, down, near]);
  return { x, y, z, px: from.focal[1] / near };
}

/** What is to be seen: joints and the floor below them, or of a followed person round themselves. */
function* cloud() {
  const wanted = shows.follow ? [shows.follow] : people.filter((person) => person.shown);
  let empty = true;
  for (const person of wanted) {
    const step = Math.ceil(person.rows / 4000);
    for (let row = 0; row < person.rows; row += step) {
      const pelvis = person.pelvis(row);
      const origin = shows.follow ? pelvis : [0, 0, 0];
      yield add(pelvis, origin, -1);
      for (let j = 0; j < person.body.sides.length; j++)
        yield add(person.joint(row, j), origin, -1);
      empty = false;
    }
  }
  if (empty)
    for (const x of [-1.5, 1.5])
      for (const y of [0, 1.8]) for (const z of [-1.5, 1.5]) yield [x, y, z];
}

const size = (element) => element.getBoundingClientRect();

/** Come as near as the whole cloud allows, as render/_view.py does. */
function fit(azimuth, elevation) {
  const { width, height } = size($("stage"));
  const axes = axesOf(azimuth, elevation, 0);
  const focal = FOCAL * height;
  const [tx, ty] = [(width / 2 / focal) * 0.94, (height / 2 / focal) * 0.8];
  const room = 0.2 * Math.max(1, ...people.map((person) => person.scale));
  const reach = [-Infinity, -Infinity, -Infinity, -Infinity];
  let [near, far] = [Infinity, -Infinity];
  const take = (point) => {
    const [x, y, z] = [dot(axes[0], point), dot(axes[1], point), dot(axes[2], point)];
    reach[0] = Math.max(reach[0], x - tx * z);
    reach[1] = Math.max(reach[1], -x - tx * z);
    reach[2] = Math.max(reach[2], y - ty * z);
    reach[3] = Math.max(reach[3], -y - ty * z);
    near = Math.min(near, z);
    far = Math.max(far, z);
  };
  if (elevation > 1.5 && shows.rig) data.cameras.forEach((camera) => take(camera.position));
  for (const point of cloud()) take(point);
  const [right, left, below, above] = reach.map(
    (x, i) => x + room * Math.hypot(1, i < 2 ? tx : ty),
  );
  const z = Math.min(-(right + left) / (2 * tx), -(below + above) / (2 * ty));
  const middle = [(right - left) / 2, (below - above) / 2, (near + far) / 2];
  const target = middle.reduce((sum, x, i) => add(sum, axes[i], x), [0, 0, 0]);
  Object.assign(view, { azimuth, elevation, roll: 0, target, distance: middle[2] - z, lens: LENS });
}
