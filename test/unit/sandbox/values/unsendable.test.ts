import { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { uncloneablePart } from '#src/sandbox/values/uncloneable-part.js'
import { notCloneable } from '#src/sandbox/values/unsendable.js'

const cb = (): void => {}
const circle: Record<string, unknown> = { a: 1 }
circle['self'] = circle

const PLACES: Record<string, () => unknown> = {
  data: () => cb,
  'data.user.list[1].cb': () => ({ user: { list: [1, { cb }] } }),
  'data["not a name"][0]': () => ({ 'not a name': [Symbol('x')] }),
  'data[1].cb': () => [{}, { cb }],
  'data.get("b")[0]': () => new Map<unknown, unknown>([['b', [cb]]]),
  'data.keys()': () => new Map([[cb, 1]]),
  'data.set.values().cb': () => ({ set: new Set([{ cb }]) }),
  'data.later': () => ({ later: Promise.resolve() }),
  'data.weak': () => ({ weak: new WeakMap() }),
  'data.socket (Socket)': () => ({ socket: new Socket() }),
  // Of an error and of bytes nothing else crosses, and a circle has an end.
  'data.after.cb': () => ({ error: Object.assign(new Error('x'), { cb }), bytes: new Uint8Array(10), circle, after: { cb } }),
}

it.each(Object.keys(PLACES))('what cannot cross is found at %s', (path) => {
  expect(uncloneablePart(PLACES[path]?.(), 'data')).toBe(path)
})

it('what cannot cross is not looked for in more than some thousand parts, nor where it hurts', () => {
  expect(uncloneablePart({ circle }, 'data')).toBeUndefined()
  expect(
    uncloneablePart(Object.defineProperty({}, 'boom', { enumerable: true, get: () => cb() ?? JSON.parse('') }), 'data'),
  ).toBeUndefined()
  expect(uncloneablePart([...Array.from({ length: 10_000 }, () => ({})), { cb }], 'data')).toBeUndefined()
})

const refusal = (value: unknown): unknown => {
  try {
    return structuredClone(value)
  } catch (error) {
    return error
  }
}

it('a refusal says where, and keeps what the platform said', () => {
  const cause = refusal({ cb() {} })
  const error = notCloneable('It', cause, { path: 'data.cb', details: { verb: 'x' } })
  expect(error.message).toMatch(/^It cannot cross a thread: cb\(\) ?\{ ?\} could not be cloned, at data\.cb\. Send plain data/)
  expect(error).toMatchObject({ details: { verb: 'x', path: 'data.cb' }, cause })
})

it('a refusal prints no function of many lines, nor does its cause', () => {
  const many = (): void => {
    cb()
    cb()
    cb()
  }
  const error = notCloneable('It', refusal({ many }))
  expect(error.message).toContain('… could not be cloned. Send plain data')
  expect(error.message).not.toContain('\n')
  expect(error.cause).toMatchObject({
    name: 'DataCloneError',
    message: expect.stringMatching(/^.{1,60}… could not be cloned\.$/) as string,
  })
})
