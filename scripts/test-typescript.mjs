// Type-checks test/types/consumer.ts, and with it all declarations that are shipped, by the oldest TypeScript that they promise to work
// with: `npm run test:typescript`, or another with `-- 5.6`. It comes from npm and is kept in .typescript/<version>/.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fromNpm } from './from-npm.mjs'

/** As docs/typescript.md says. */
const OLDEST = '5.0'

const root = fileURLToPath(new URL('..', import.meta.url))
const versions = process.argv.length > 2 ? process.argv.slice(2) : [OLDEST]

for (const version of versions) {
  const compiler = fromNpm(join(root, '.typescript', version), 'typescript', version, 'bin/tsc')
  for (const resolution of ['node16', 'bundler']) {
    const module = resolution === 'bundler' ? 'esnext' : resolution
    console.log(`TypeScript ${version}, ${resolution}`)
    const options = [
      '--module',
      module,
      '--moduleResolution',
      resolution,
      '--target',
      'es2022',
      '--lib',
      'es2022',
      '--types',
      'node',
      '--strict',
      '--noEmit',
    ]
    const { status } = spawnSync(process.execPath, [compiler, ...options, 'test/types/consumer.ts'], { cwd: root, stdio: 'inherit' })
    if (status !== 0) process.exitCode = 1
  }
}
