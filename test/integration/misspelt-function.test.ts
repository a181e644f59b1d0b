/** A function of a plugin that is misspelt beside others that are not: nobody would ever call it. */
import { expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { startedWith, stateOf } from '../support/plugin-folder.js'

it.each(['inline', 'thread', 'process'] as const)('is warned of, with the name that was meant (%s)', async (isolation) => {
  const code =
    'export default { start() {}, stpo() {}, updateConfg() {}, Health() {}, greet() {}, state() {}, helth: 5, get snapshto() { throw 1 } }'
  const { kernel, lines } = await startedWith({ p: code }, { defaults: { isolation } })
  expect(stateOf(kernel, 'p')).toBe('running')
  const warned = () => lines.filter(({ level, fields }) => level === 'warn' && fields['plugin'] === 'p').map(({ message }) => message)
  await eventually(() =>
    expect(warned()).toEqual([
      "Plugin 'p' has a function 'stpo', which nobody calls. Did you mean 'stop'?",
      "Plugin 'p' has a function 'updateConfg', which nobody calls. Did you mean 'updateConfig'?",
      "Plugin 'p' has a function 'Health', which nobody calls. Did you mean 'health'?",
    ]),
  )
})

it('is not suspected where the plugin has what was meant', async () => {
  const { lines } = await startedWith({ p: 'export default { start() {}, stop() {}, step() {}, starts() {} }' })
  expect(lines.filter(({ level }) => level === 'warn')).toEqual([])
})
