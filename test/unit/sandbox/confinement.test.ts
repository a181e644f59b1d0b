/** With what a plugin's process is started, by what the machine has. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commandFor } from '#src/sandbox/host/confinement.js'
import { NO_GRANTS } from '#src/sandbox/permissions/grants.js'
import { emptyFolder } from '../../support/plugin-folder.js'

const [MAJOR = 0] = process.versions.node.split('.').map(Number)

const commandIn = (name: string, bwrap: boolean, grants = NO_GRANTS, inspected = false): (() => unknown) => {
  const root = join(emptyFolder(), name)
  mkdirSync(root)
  const place = { plugin: 'p', root, dataDir: root, packages: [], grants, memory: 64, needsHooks: false, inspected }
  return () => commandFor(place, { prlimit: false, setpriv: false, bwrap, sizes: false, shuts: false })
}

const refused = expect.objectContaining({
  code: 'ISOLATION_UNAVAILABLE',
  message: expect.stringMatching(
    /^Plugin 'p' cannot be given a process: Node's permission model, .* takes the '\*' in .*a\*b for .* Rename the folder/,
  ),
})

describe("a '*' in the path of a plugin, which Node's permission model takes for whatever comes", () => {
  it('is refused where the model alone is to hold its process', () => {
    expect(commandIn('a*b', false)).toThrow(refused)
    expect(commandIn('a-b', false)).not.toThrow()
  })

  it.runIf(MAJOR < 22)('is refused in a sandbox too, on a Node that ends a process over it', () => {
    expect(commandIn('a*b', true)).toThrow(refused)
  })

  it.runIf(MAJOR >= 22)('is taken in a sandbox, which has nothing else in it', () => {
    expect(commandIn('a*b', true)).not.toThrow()
  })

  it('is no matter where the model does not apply, nor is the grant of all files', () => {
    expect(commandIn('a*b', false, NO_GRANTS, true)).not.toThrow()
    expect(commandIn('a-b', false, { ...NO_GRANTS, fs: { read: ['*'], write: ['*'] } })).not.toThrow()
  })
})
