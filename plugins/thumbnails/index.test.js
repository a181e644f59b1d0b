import { createTestKernel } from 'plugbay/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'

let kernel
let thumbnails
beforeAll(async () => {
  kernel = await createTestKernel({ plugins: new URL('.', import.meta.url), isolation: 'thread' })
  thumbnails = await kernel.services.use('thumbnails')
})
afterAll(() => kernel.stop())

/** A picture of rows of pixels, each a [red, green, blue]. */
const picture = (rows, comment = '') =>
  new Uint8Array(Buffer.concat([Buffer.from(`P6\n${comment}${rows[0].length} ${rows.length}\n255\n`), Buffer.from(rows.flat(2))]))

const RED = [255, 0, 0]
const BLUE = [0, 0, 255]
const BLACK = [0, 0, 0]
const WHITE = [255, 255, 255]

test('pixels that fall together are averaged', async () => {
  const chessboard = picture([
    [BLACK, WHITE, RED, RED],
    [WHITE, BLACK, BLUE, BLUE],
  ])
  expect(await thumbnails.make(chessboard, { width: 2 })).toEqual(
    picture([
      [
        [128, 128, 128],
        [128, 0, 128],
      ],
    ]),
  )
})

test('the proportions stay, and at least one row', async () => {
  const wide = picture([Array(100).fill(RED)])
  expect(await thumbnails.make(wide, { width: 10 })).toEqual(picture([Array(10).fill(RED)]))
})

test('a picture that is small enough keeps its size; a comment in its header is skipped', async () => {
  expect(await thumbnails.make(picture([[RED, BLUE]], '# from a camera\n'), { width: 50 })).toEqual(picture([[RED, BLUE]]))
})

test('a view into larger memory is a picture too', async () => {
  const inner = picture([[RED, BLUE]])
  const outer = new Uint8Array(inner.length + 20)
  outer.set(inner, 7)
  expect(await thumbnails.make(outer.subarray(7, 7 + inner.length), { width: 1 })).toEqual(picture([[[128, 0, 128]]]))
})

test.each([
  ['no picture', new Uint8Array([1, 2, 3]), 10, 'not a PPM picture'],
  ['a picture that was cut off', picture([[RED, RED]]).subarray(0, 14), 10, 'cut off'],
  ['no width', picture([[RED]]), 0, 'whole number of pixels'],
  ['half a pixel', picture([[RED]]), 0.5, 'whole number of pixels'],
])('%s is refused, with the reason', async (_what, bytes, width, reason) => {
  await expect(thumbnails.make(bytes, { width })).rejects.toMatchObject({ code: 'TASK_FAILED', message: expect.stringContaining(reason) })
})

test('the plugin answers while pictures are made', async () => {
  const large = picture(Array.from({ length: 800 }, () => Array(1200).fill(RED)))
  const made = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const small = thumbnails.make(large, { width: 300 })
      expect(await kernel.kernel.health('thumbnails')).toMatchObject({ healthy: true })
      return (await small).length
    }),
  )
  expect(made).toEqual(Array(4).fill(300 * 200 * 3 + 'P6\n300 200\n255\n'.length))
})
