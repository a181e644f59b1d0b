/** Who takes the addresses of the process: told by what it makes and keeps, while they grow. */
import { expect, test } from 'vitest'
import { ReservedAddresses, type Reserver } from '#src/sandbox/watch/reserved-addresses.js'

const TB = 2 ** 20
const EACH = 10 * 1_024

class Place implements Reserver {
  memories = 0
  keptMemories = 0
  told: number[] = []

  crowds(allowed: number, reserved: number, memories: number): void {
    this.told.push(allowed / TB, Math.round(reserved / TB), memories)
  }
}

/** Places in one process, of whose addresses some are reserved. */
const processOf = (...places: Place[]) => {
  let reserved = 1 * TB
  let reads = 0
  const addresses = new ReservedAddresses(() => {
    reads++
    return reserved
  })
  for (const place of places) addresses.add(place)
  return {
    addresses,
    reads: () => reads,
    /** At a moment in which all do something. */
    look: (told?: number): void => {
      for (const place of places) addresses.see(place)
      addresses.look(told)
    },
    /** `shown`: whether its count of what it keeps knows of them. */
    make: (place: Place, count: number, shown = true): void => {
      place.memories += count
      if (shown) place.keptMemories += count
      reserved += count * EACH
    },
    free: (place: Place, count: number): void => {
      place.keptMemories -= count
      reserved -= count * EACH
    },
    reserve: (more: number): void => void (reserved += more),
  }
}

test('who keeps most of what was made since they were plenty is the one, once', () => {
  const [few, many] = [new Place(), new Place()]
  const { look, make } = processOf(few, many)
  for (let n = 0; n < 20; n++) {
    make(few, 10)
    make(many, 200)
    look()
  }
  expect(many.told).toEqual([32, 34, 3_200])
  expect(few.told).toEqual([])
})

test('who makes far more and lets go of all is not the one', () => {
  const [leaks, busy] = [new Place(), new Place()]
  const { look, make, free } = processOf(leaks, busy)
  for (let n = 0; n < 450; n++) {
    make(leaks, 10)
    make(busy, 100)
    look()
    if (n % 5 === 4) free(busy, 500)
  }
  expect(leaks.told).toHaveLength(3)
  expect(busy.told).toEqual([])
})

test('who keeps them by what its count does not know of is found when they are scarce', () => {
  const place = new Place()
  const { look, make } = processOf(place)
  for (let n = 0; n < 40; n++) {
    make(place, 200, false)
    look()
  }
  expect(place.told).toEqual([32, 65, expect.any(Number)])
})

test('what the application itself reserves is held against nobody', () => {
  const place = new Place()
  const { look, make, reserve } = processOf(place)
  make(place, 200)
  look()
  reserve(60 * TB)
  look(63 * TB)
  make(place, 200)
  look()
  expect(place.told).toEqual([])
})

test('while nobody makes a memory nothing is read', () => {
  const place = new Place()
  const { look, make, reads } = processOf(place)
  const before = reads()
  for (let n = 0; n < 10; n++) look()
  expect(reads()).toBe(before)
  make(place, 1)
  look()
  expect(reads()).toBe(before + 1)
})

test('while they are plenty no place is looked at', () => {
  const place = new Place()
  let looked = 0
  Object.defineProperty(place, 'memories', { get: () => looked++ && 0 })
  const { addresses } = processOf(place)
  const before = looked
  for (let n = 0; n < 10; n++) addresses.look(n % 2 === 0 ? TB : undefined)
  expect(looked).toBe(before)
})

test('who takes them by little work, and was not seen to do any, is found all the same', () => {
  const place = new Place()
  const { addresses, make } = processOf(place)
  for (let taken = 1; taken < 40; taken++) {
    make(place, TB / EACH)
    addresses.look((taken + 1) * TB)
  }
  expect(place.told).toEqual([32, 33, expect.any(Number)])
})

test('what will be needed of them is taken while there is enough, each time that they are fewer', () => {
  let taken = 0
  const addresses = new ReservedAddresses(
    () => TB,
    () => taken++,
  )
  const seen = [8, 20, 40, 8, 80, 40, 8, 16].map((reserved) => {
    addresses.look(reserved * TB)
    return taken
  })
  expect(seen).toEqual([0, 1, 1, 1, 1, 1, 1, 2])
})
