// The drawing area: strokes by mouse, touch, pen or keyboard, and the pixels that they become.

const SUPER = 8;  // each pixel is the mean of SUPER x SUPER

// Strokes in 0 to 1 of the area. `changed` is called when a stroke ends or all are gone.
export class Pad {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    this.stroke = null;
    this.cursor = null;  // of the keyboard: [x, y], and whether its pen is down
    this.down = false;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.cursor = null;
      this.begin(this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.stroke === null || this.down) return;
      for (const one of event.getCoalescedEvents?.() ?? [event]) this.stroke.push(this.place(one));
      this.draw();
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => {
      if (this.down) this.end();
      this.cursor = null;
      this.draw();
    });
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const within = (value) => Math.min(1, Math.max(0, value));
    return [
      within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)
    ];
  }

  begin(place) {
    this.stroke = [place];
    this.strokes.push(this.stroke);
    this.draw();
  }

  end() {
    if (this.stroke === null) return;
    this.stroke = null;
    this.down = false;
    this.draw();
    this.changed();
  }

  clear() {
    this.strokes = [];
    this.stroke = null;
    this.down = false;
    this.draw();
  }

  key(event) {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [
                    0, 1
                  ]}[event.key];
    if (event.key === "Escape") {
      this.clear();
      this.changed();
    } else if (event.key === " ") {
      this.cursor ??= [0.5, 0.5];
      if (this.down) {
        this.end();
      } else {
        this.down = true;
        this.begin([...this.cursor]);
      }
    } else if (move) {
      const [x, y] = this.cursor ?? [0.5, 0.5];
      const within = (value) => Math.min(1, Math.max(0, value));
      this.cursor = [within(x + move[0] / 28), within(y + move[1] / 28)];
      if (this.down) this.stroke.push([...this.cursor]);
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  draw() {
    const {width} = this.canvas;
    const context = this.canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, width);
    paint(context, this.strokes, ([x, y]) => [x * width, y * width], 0.075 * width);
    if (this.strokes.length === 0 && this.cursor === null) {
      context.fillStyle = "#a9adb1";
      context.font = "16px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("draw here", width / 2, width / 2);
    }
    if (this.cursor === null) return;
    context.strokeStyle = this.down ? "#f08a97" : "#7fb2d6";
    context.lineWidth = 2;
    context.beginPath();
    context.arc(this.cursor[0] * width, this.cursor[1] * width, 9, 0, 2 * Math.PI);
    context.stroke();
  }

  // [height][width] u8: light strokes on black. `centred`: as MNIST's digits are, the strokes' box
  // scaled to 20 of 28 pixels, their centre of mass in the middle; else where they were drawn.
  pixels(height, width, centred) {
    const size = Math.min(height, width);
    let to = ([x, y]) => [(width - size) / 2 + x * size, (height - size) / 2 + y * size];
    if (centred && this.strokes.length > 0) {
      const points = this.strokes.flat();
      const box = [0, 1].map((axis) => {
        const values = points.map((point) => point[axis]);
        return [Math.min(...values), Math.max(...values)];
      });
      const longest = Math.max(box[0][1] - box[0][0], box[1][1] - box[1][0]);
      // The stroke's own width is a tenth of the box.
      const scale = longest > 0.02 ? (18 / 28) * size / longest : 0;
      const middle = box.map(([low, high]) => (low + high) / 2);
      to = ([x, y]) => [width / 2 + (x - middle[0]) * scale, height / 2 + (y - middle[1]) * scale];
      const first = render(this.strokes, height, width, to);
      const [dx, dy] = centreOfMass(first, height, width);
      const before = to;
      to = (point) => before(point).map((value, axis) => value + [dx, dy][axis]);
    }
    return render(this.strokes, height, width, to);
  }
}

function paint(context, strokes, to, thickness) {
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = thickness;
  context.strokeStyle = "#fff";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...to(stroke[0]));
    for (const point of stroke) context.lineTo(...to(point));
    context.stroke();
  }
}

function render(strokes, height, width, to) {
  const large = new OffscreenCanvas(width * SUPER, height * SUPER);
  const context = large.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "#000";
  context.fillRect(0, 0, large.width, large.height);
  const size = Math.min(height, width);
  paint(
      context, strokes, (point) => to(point).map((value) => value * SUPER),
      (2.2 / 28) * size * SUPER);
  const {data} = context.getImageData(0, 0, large.width, large.height);
  const pixels = new Uint8Array(height * width);
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      let sum = 0;
      for (let i = 0; i < SUPER * SUPER; ++i) {
        const row = y * SUPER + Math.floor(i / SUPER);
        sum += data[4 * (row * large.width + x * SUPER + (i % SUPER))];
      }
      pixels[y * width + x] = Math.round(sum / (SUPER * SUPER));
    }
  }
  return pixels;
}

// How far the centre of mass is from the middle, in pixels, with its sign turned.
function centreOfMass(pixels, height, width) {
  let [sum, atX, atY] = [0, 0, 0];
  pixels.forEach((value, i) => {
    sum += value;
    atX += value * ((i % width) + 0.5);
    atY += value * (Math.floor(i / width) + 0.5);
  });
  return sum === 0 ? [0, 0] : [width / 2 - atX / sum, height / 2 - atY / sum];
}
