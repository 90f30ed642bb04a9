// Where a model is unsure, as a warm light: clear where it is sure, glowing where it is not.

export async function drawLight(canvas, address) {
  // Returns what draws it, for whoever may show another frame by then.
  const response = await fetch(address);
  if (!response.ok) throw new Error((await response.json()).error);
  const bitmap = await createImageBitmap(await response.blob());
  return () => {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const image = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < image.data.length; i += 4) {
      const value = image.data[i];
      image.data.set([255, 255 - value * 0.6, 120 - value * 0.4, Math.min(230, value * 1.3)], i);
    }
    context.putImageData(image, 0, 0);
  };
}
