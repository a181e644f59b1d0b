import { describe, expect, it } from 'vitest'
import { pack } from '#src/sandbox/values/codec.js'
import { expectClone } from '../../../support/cloned.js'

const LONG = 'x'.repeat(2_000_000)

describe('the size of what is packed', () => {
  it.each<[string, () => unknown]>([
    ['a text that lies deep', () => [new Date(0), [[[[[[LONG]]]]]]]],
    ['a view of a large buffer', () => ({ byte: new Uint8Array(new ArrayBuffer(2_000_000), 0, 1) })],
    ['the message of an error', () => ({ error: new Error(LONG) })],
    ['the cause of an error', () => new Error('short', { cause: [LONG] })],
    ['the source of a regular expression', () => new RegExp(LONG)],
    ['a text that is an object', () => new String(LONG)],
    ['a large integer', () => ({ n: 1n << 10_000_000n })],
    ['a large integer beside what is not plain', () => ({ at: new Date(0), n: 1n << 10_000_000n })],
    ['many objects that lie deep', () => [[[[[[Array.from({ length: 50_000 }, (_, i) => ({ i }))]]]]]]],
    ['the keys and the values of a map', () => new Map([[LONG.slice(0, 600_000), LONG.slice(0, 600_000)]])],
    ['many objects', () => Array.from({ length: 50_000 }, (_, i) => ({ i }))],
  ])('is told by all that is in it: %s', (_, make) => {
    expect(pack(make()).size).toBeGreaterThan(1_048_576)
  })

  it('has a buffer once that many views are of', () => {
    const buffer = new ArrayBuffer(8_192)
    const views = Array.from({ length: 300 }, (_, i) => new Uint8Array(buffer, i, 3))
    expect(pack(views).size).toBeLessThan(32_768)
  })

  it('is near to its bytes', () => {
    const rows = Array.from({ length: 5_000 }, (_, i) => ({ i, name: 'a name of a row' }))
    expect(pack(rows).size).toBeLessThan(600_000)
    expect(pack({ at: new Date(0), n: 1n, list: [1, 2, 3] }).size).toBeLessThan(2_048)
  })
})

describe('packing', () => {
  it('tells a hole from undefined also where properties beside the elements make up the number of keys', () => {
    const value: unknown[] & { note?: string } = [1, 2]
    Reflect.deleteProperty(value, 1)
    value.note = 'beside'
    expectClone(pack(value).open(), structuredClone(value))
    expectClone(pack({ value }).open(), structuredClone({ value }))
  })

  it('leaves an object that is used as a dictionary to the platform: learning its shape would cost memory by the square of its keys', () => {
    const dictionary = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`key number ${i}`, i]))
    const packed = pack(dictionary)
    expect(packed.shape).toBe('0')
    expectClone(packed.open(), dictionary)
  })

  it('weighs the names of a dictionary by what they cost its reader, and those of a table once', () => {
    const dictionary = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i]))
    expect(pack(dictionary).size).toBeGreaterThan(20_000 * 40)
    const columns = Array.from({ length: 100 }, (_, i) => `column ${i}`)
    const table = Array.from({ length: 300 }, () => Object.fromEntries(columns.map((column) => [column, 1])))
    expect(pack({ table }).size).toBeLessThan(300 * 100 * 20)
    expect(pack({ ['n'.repeat(100_000)]: new Map() }).size).toBeGreaterThan(100_000)
  })

  it('weighs the names of small objects like those of a dictionary where no two are alike', () => {
    const unlike = Array.from({ length: 250 }, (_, i) => Object.fromEntries(Array.from({ length: 60 }, (_, j) => [`k${i} ${j}`, j])))
    expect(pack(unlike).size).toBeGreaterThan(250 * 60 * 40)
    const taking = Array.from({ length: 1_000 }, (_, i) => (i % 2 === 0 ? { first: i, second: i } : { third: i, fourth: [i] }))
    expect(pack(taking).size).toBeLessThan(1_000 * 2 * 30)
  })

  it('leaves a tree of many different keys to the platform too', () => {
    const branch = (name: string): object => Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${name} ${i}`, i]))
    const tree = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`branch ${i}`, branch(`leaf of ${i}`)]))
    const packed = pack(tree)
    expect(packed.shape.length).toBeLessThan(10_000)
    expectClone(packed.open(), tree)
  })

  it('is not confused by a getter that packs something itself', () => {
    const inner = { id: 1 }
    const value = {
      first: inner,
      get second() {
        expectClone(pack({ x: { y: 1 } }).open(), { x: { y: 1 } })
        return 2
      },
      third: inner,
    }
    const opened = pack(value).open() as { first: object; third: object }
    expectClone(opened, { first: { id: 1 }, second: 2, third: { id: 1 } })
    expect(opened.first).toBe(opened.third)
  })
})
