/** What of the system's commands is found, in a process that cannot start any for a while. */
import { execFile } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { root } from '../../support/command.js'

const PROGRAM = `
  import { closeSync, openSync } from 'node:fs'
  import { confiners } from ${JSON.stringify(pathToFileURL(`${root}/dist/sandbox/host/confiners.js`).href)}
  const held = []
  try { for (;;) held.push(openSync('/dev/null')) } catch {}
  const during = await confiners().catch(({ code }) => code)
  for (const fd of held) closeSync(fd)
  console.log(JSON.stringify({ during, after: await confiners() }))`

test.runIf(process.platform === 'linux')(
  'a command that cannot be tried for want of a descriptor is not taken for one that is not there',
  async () => {
    // More than a plugin's process is given.
    const starts = 'ulimit -n 512; exec "$0" --input-type=module -e "$1"'
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', starts, process.execPath, PROGRAM])
    expect(JSON.parse(stdout)).toEqual({ during: 'EMFILE', after: expect.objectContaining({ bwrap: expect.any(Boolean) }) })
  },
)
