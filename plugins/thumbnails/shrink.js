/** A task: shrinks a picture in the format PPM (P6) by averaging the pixels that fall together. It keeps nothing between calls. */

/** The three numbers after `P6`, which may be surrounded by white space and comments, and where the pixels begin. */
const headerOf = (bytes) => {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 1024)).toString('latin1')
  const found = /^P6(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s/.exec(head)
  if (!found) throw new TypeError('It is not a PPM picture: it does not begin with "P6", width, height and 255.')
  const [width, height, depth] = found.slice(1).map(Number)
  const size = width * height * 3
  const at = found[0].length
  if (depth !== 255) throw new TypeError(`A picture has 255 values a colour, not ${depth}.`)
  if (width < 1 || height < 1) throw new RangeError(`A picture of ${width} × ${height} has no pixels.`)
  if (bytes.byteLength - at < size) {
    throw new RangeError(`A picture of ${width} × ${height} has ${size} bytes, but there are ${bytes.byteLength - at}: it was cut off.`)
  }
  return { width, height, pixels: bytes.subarray(at, at + size) }
}

/** @param {{ bytes: Uint8Array, width: number }} input */
const shrink = ({ bytes, width: wanted }) => {
  if (!Number.isInteger(wanted) || wanted < 1) throw new RangeError(`The width is a whole number of pixels from 1, not ${wanted}.`)
  const { width, height, pixels } = headerOf(bytes)
  const w = Math.min(wanted, width)
  const h = Math.max(1, Math.round((height * w) / width))
  const header = Buffer.from(`P6\n${w} ${h}\n255\n`, 'latin1')
  // Not Buffer.concat: its memory may be shared with others, and could not be moved to the caller.
  const out = new Uint8Array(header.length + w * h * 3)
  out.set(header)
  let at = header.length
  for (let y = 0; y < h; y++) {
    const top = Math.floor((y * height) / h)
    const bottom = Math.max(top + 1, Math.floor(((y + 1) * height) / h))
    for (let x = 0; x < w; x++) {
      const left = Math.floor((x * width) / w)
      const right = Math.max(left + 1, Math.floor(((x + 1) * width) / w))
      let [red, green, blue] = [0, 0, 0]
      for (let row = top; row < bottom; row++) {
        for (let i = (row * width + left) * 3, end = (row * width + right) * 3; i < end; i += 3) {
          red += pixels[i]
          green += pixels[i + 1]
          blue += pixels[i + 2]
        }
      }
      const count = (bottom - top) * (right - left)
      out[at++] = Math.round(red / count)
      out[at++] = Math.round(green / count)
      out[at++] = Math.round(blue / count)
    }
  }
  return out
}

export default shrink
