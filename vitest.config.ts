import { defineConfig } from 'vitest/config'

// The tests run against dist/, the code that is shipped: worker threads can load nothing else, and Node itself
// resolves 'plugbay' and '#src/*' through package.json.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'plugins/**/*.test.{ts,js}'],
    pool: 'forks',
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 20_000,
  },
})
