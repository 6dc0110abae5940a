// A picture of the user's as the model's pixels, and in words what had to be done to it.

// Sizes of the picture's middle that is taken, and of the input that it becomes.
function placement(picture, model) {
  const {inputHeight: height, inputWidth: width} = model;
  if (picture.width === width && picture.height === height) {
    return {crop: [0, 0, width, height], words: `taken as it is, ${width} × ${height} pixels`};
  }
  // The largest part in the middle with the input's proportions.
  const scale = Math.min(picture.width / width, picture.height / height);
  const crop = [width * scale, height * scale];
  const corner = [(picture.width - crop[0]) / 2, (picture.height - crop[1]) / 2];
  const whole = corner[0] < 0.5 && corner[1] < 0.5;
  const part = whole ? "all of it" : "its middle";
  return {
    crop: [...corner, ...crop],
    words: `${picture.width} × ${picture.height} pixels, ${part} scaled to ${width} × ${height}`,
  };
}

// {pixels [height][width][channels] u8, words}. Gray as the mu8 command makes it of colours:
// (77 R + 150 G + 29 B) / 256.
export async function readPicture(file, model) {
  let picture;
  try {
    picture =
        await createImageBitmap(file, {premultiplyAlpha: "none", colorSpaceConversion: "none"});
  } catch {
    throw new Error(
        `${file.name}: no picture that this browser can read, nor a .mu8 file by its name`);
  }
  const {inputHeight: height, inputWidth: width, inputChannels: channels} = model;
  const {crop, words} = placement(picture, model);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, ...crop, 0, 0, width, height);
  picture.close();
  const {data} = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * channels);
  let coloured = false;
  for (let i = 0; i < width * height; ++i) {
    const [r, g, b] = data.subarray(4 * i, 4 * i + 3);
    coloured ||= r !== g || g !== b;
    if (channels === 3) {
      pixels.set([r, g, b], 3 * i);
    } else {
      pixels[i] = (77 * r + 150 * g + 29 * b) >> 8;
    }
  }
  const gray = channels === 1 && coloured ? ", its colours as gray" : "";
  return {pixels, words: `${file.name}: ${words}${gray}; what is transparent counts as black`};
}

// Draws an input, light where its numbers are large.
export function showPixels(
    canvas, pixels, {inputHeight: height, inputWidth: width, inputChannels: channels}) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; ++i) {
    for (let c = 0; c < 3; ++c)
      image.data[4 * i + c] = pixels[channels * i + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
