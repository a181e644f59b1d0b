// Completes package-lock.json with the optional packages for other platforms, which npm leaves out of a lock when it could not
// see them while writing it (https://github.com/npm/cli/issues/4828) and which `npm ci` then misses. Run it after `npm install`;
// `--check` only says whether something is missing.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file = fileURLToPath(new URL('../package-lock.json', import.meta.url))
const lock = JSON.parse(readFileSync(file, 'utf8'))

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'openbsd', 'openharmony', 'sunos', 'win32']
const PROCESSORS = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

/** What npm needs to know to leave a package out elsewhere; platform packages carry it in their name. */
const platformOf = (name) => {
  const words = name.split('/').pop().split('-')
  const os = words.find((word) => SYSTEMS.includes(word))
  const cpu = words.find((word) => PROCESSORS.includes(word))
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word === 'gnu' || word.startsWith('gnueabi'))
      ? 'glibc'
      : undefined
  return { ...(os && { os: [os] }), ...(cpu && { cpu: [cpu] }), ...(libc && os === 'linux' && { libc: [libc] }) }
}

const missing = []
for (const [path, owner] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
    const places = [`${path}/node_modules/${name}`, `node_modules/${name}`]
    if (places.some((place) => place in lock.packages)) continue
    const platform = platformOf(name)
    if (!platform.os && !platform.cpu) continue
    if (!/^\d+\.\d+\.\d+/.test(version)) continue
    missing.push(name)
    lock.packages[`node_modules/${name}`] = {
      version,
      ...platform,
      ...(owner.dev && { dev: true }),
      ...(owner.engines && { engines: owner.engines }),
      optional: true,
    }
  }
}

if (process.argv.includes('--check')) {
  if (missing.length > 0) {
    console.error(
      `package-lock.json lacks ${missing.length} packages for other platforms: run \`node scripts/lock-platforms.mjs\`.\n  ${missing.join('\n  ')}`,
    )
    process.exitCode = 1
  }
} else if (missing.length > 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')))
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`package-lock.json: ${missing.length} packages for other platforms added.`)
}
