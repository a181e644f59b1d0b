/** Small trees of real files for tests, removed when the test file is done. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll } from 'vitest'

const made: string[] = []

afterAll(() => {
  for (const root of made.splice(0)) rmSync(root, { recursive: true, force: true })
})

/** What a file of a tree holds: text as it is, anything else as JSON. */
export type Content = string | object

export const write = (path: string, content: Content): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
}

/** A new folder (its real path) with these files in it, by relative path. */
export const tree = (files: Record<string, Content> = {}): string => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'plugbay-')))
  made.push(root)
  for (const [path, content] of Object.entries(files)) write(join(root, path), content)
  return root
}
