/** What lies where a module should, and has no end. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { assertRegular, isIrregular } from '#src/sandbox/permissions/irregular-file.js'
import { tree } from '../../../support/tree.js'

const root = tree({ 'file.js': '', 'folder/file.js': '' })

test.each(['file.js', 'folder', 'nothing.js'])('%s is left to who reads it', (name) => {
  const path = join(root, name)
  expect(isIrregular(path)).toBe(false)
  expect(() => assertRegular(path)).not.toThrow()
})

test.skipIf(process.platform === 'win32')('a pipe is not, nor a device', () => {
  const pipe = join(root, 'pipe.js')
  execFileSync('mkfifo', [pipe])
  for (const path of [pipe, '/dev/null']) {
    expect(isIrregular(path)).toBe(true)
    expect(() => assertRegular(path)).toThrow(`${path} is no regular file, but a pipe or a device. Put a module there.`)
  }
})
