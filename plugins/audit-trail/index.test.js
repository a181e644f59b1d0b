import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTestKernel } from 'plugbay/testing'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { AppendOnlyFile } from './append-only-file.js'

let kernel
let audit
beforeEach(async () => {
  kernel = await createTestKernel({ plugins: new URL('.', import.meta.url) })
  audit = await kernel.services.use('audit')
})
afterEach(() => kernel.stop())

/** All is in the file once the handlers are done. */
const settled = () => kernel.bus.drain()
const ofUsers = (events) => events.filter(({ type }) => !type.startsWith('kernel.'))

test('every event is kept, in order, with who published it', async () => {
  for (let n = 0; n < 500; n++) await kernel.bus.publish(`deeply.nested.topic.${n}`, { n })
  await settled()
  const kept = ofUsers(await audit.tail(500))
  expect(kept.map(({ data }) => data.n)).toEqual(Array.from({ length: 500 }, (_, n) => n))
  expect(kept[0]).toEqual({ ...kernel.published[0] })
})

test('tail gives the last ones alone, oldest first', async () => {
  for (let n = 0; n < 5; n++) await kernel.bus.publish('a', n)
  await settled()
  expect((await audit.tail(2)).map(({ data }) => data)).toEqual([3, 4])
  expect(await audit.tail(0)).toEqual([])
})

test('what JSON cannot say is noted as well as it can be', async () => {
  const circle = {}
  circle.self = circle
  await kernel.bus.publish('odd', { big: 7n, map: new Map([['a', 1]]), set: new Set([1]), bytes: new Uint8Array(3) })
  await kernel.bus.publish('circle', circle)
  await settled()
  const [odd, round] = ofUsers(await audit.tail(2))
  expect(odd.data).toEqual({ big: '7n', map: { map: [['a', 1]] }, set: { set: [1] }, bytes: { bytes: 3 } })
  expect(round.data.unreadable).toMatch(/circular/)
})

test('a replacement loses nothing and writes nothing twice', async () => {
  let n = 0
  const publish = async (count) => {
    for (const end = n + count; n < end; n++) await kernel.bus.publish('counted', n)
  }
  await publish(100)
  await Promise.all([kernel.kernel.reload('audit-trail'), publish(100)])
  await publish(100)
  await settled()
  const text = await readFile(join(kernel.dataDir, 'audit-trail', 'audit.jsonl'), 'utf8')
  const numbers = ofUsers(
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).map(({ data }) => data)
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, index) => index))
})

test('the end of a large file is found without reading all of it, and a cut-off line left out', async () => {
  const path = join(kernel.dataDir, 'lines')
  const long = 'ä'.repeat(50_000)
  await appendFile(path, `${Array.from({ length: 20 }, (_, n) => `${n} ${long}`).join('\n')}\ncut o`)
  const lines = await new AppendOnlyFile(path).tail(3)
  expect(lines).toEqual([17, 18, 19].map((n) => `${n} ${long}`))
  expect(await new AppendOnlyFile(`${path}-none`).tail(3)).toEqual([])
})
