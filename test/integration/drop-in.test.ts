import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.js'
import { emptyFolder, startedWith, stateOf } from '../support/plugin-folder.js'

const SOUND = 'export default { start() {} }'
const BROKEN: [string, string][] = [
  ['throws in start', "export default { start() { throw new Error('no luck') } }"],
  ['does not parse', 'export default {'],
]

describe('a plugin that is dropped in and is no good', () => {
  it.each(BROKEN)('(%s) is told once, and taken up when its next save mends it', async (_what, broken) => {
    const { kernel, folder } = await startedWith({}, { watch: true })
    const elsewhere = emptyFolder()
    const faults: string[] = []
    kernel.on('plugin:fault', ({ name, error }) => faults.push(`${name} ${(error as { code?: string }).code}`))
    const save = (text: string): void => {
      writeFileSync(join(elsewhere, 'saved'), text)
      renameSync(join(elsewhere, 'saved'), join(folder, 'unlucky.js'))
    }
    save(broken)
    await eventually(() => expect(stateOf(kernel, 'unlucky')).toBe('failed'))
    save(SOUND)
    await eventually(() => expect(stateOf(kernel, 'unlucky')).toBe('running'))
    expect(faults).toHaveLength(1)
    rmSync(join(folder, 'unlucky.js'))
    await eventually(() => expect(kernel.plugins()).toEqual([]))
  })
})
