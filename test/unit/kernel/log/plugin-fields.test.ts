import { expect, it } from 'vitest'
import { pluginFields } from '#src/kernel/log/plugin-fields.js'

it('fields are told as they are, with whose line it is', () => {
  expect(pluginFields({ entries: 12 }, 'cache', 3)).toEqual({ entries: 12, plugin: 'cache', generation: 3 })
  expect(pluginFields(undefined, 'cache', 3)).toEqual({ plugin: 'cache', generation: 3 })
  expect(pluginFields(7, 'cache', 3)).toEqual({ value: 7, plugin: 'cache', generation: 3 })
})

it('an error is one as `err` and data in any other field', () => {
  const { err, other } = pluginFields({ err: new TypeError('no'), other: new TypeError('no') }, 'cache', 1)
  expect(err).toBeInstanceOf(TypeError)
  expect(other).not.toBeInstanceOf(Error)
  expect(other).toMatchObject({ name: 'TypeError', message: 'no' })
})

it('no field passes for what a logger says of the line, and none is lost', () => {
  expect(pluginFields({ level: 60, time: 0, msg: 'forged', plugin: 'bank', n: 1, fields: 2 }, 'cache', 1)).toEqual({
    n: 1,
    fields: { level: 60, time: 0, msg: 'forged', plugin: 'bank', fields: 2 },
    plugin: 'cache',
    generation: 1,
  })
  expect(pluginFields({ fields: 2 }, 'cache', 1)).toEqual({ fields: 2, plugin: 'cache', generation: 1 })
})
