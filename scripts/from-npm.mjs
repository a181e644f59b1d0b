// A package from npm that is not among the dependencies, fetched without install scripts when it is not there yet, and kept.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The path of `file` of the package, which is kept in `folder`. */
export const fromNpm = (folder, name, version, file) => {
  const path = join(folder, 'node_modules', name, file)
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    const npm = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', `${name}@${version}`]
    execFileSync('npm', npm, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' })
  }
  return path
}
