import { expect, test } from 'vitest'
import { explainShortage } from '#src/kernel/system-limit.js'

const explained = (code: string, message = code): Error => {
  try {
    return explainShortage('mail')(Object.assign(new Error(message), { code }))
  } catch (error) {
    return error as Error
  }
}

test.each([
  ['EMFILE', 'the application has no free descriptor', 'ulimit -n'],
  ['ENFILE', 'the system has no free descriptor', 'fs.file-max'],
  ['EAGAIN', 'no more processes and threads', 'ulimit -u'],
  ['ENOMEM', 'the system has no memory for it', 'container'],
])('%s names the plugin, what is lacking and where more comes from', (shortage, lacks, mend) => {
  for (const error of [
    explained(shortage, `spawn prlimit ${shortage}`),
    explained('ERR_WORKER_INIT_FAILED', `Worker initialization failure: ${shortage}`),
  ]) {
    expect(error).toMatchObject({
      code: 'SYSTEM_LIMIT',
      plugin: 'mail',
      details: { shortage },
      cause: { message: expect.stringContaining(shortage) },
    })
    expect(error.message).toMatch(/^Plugin 'mail' cannot be started: /)
    expect(error.message).toContain(lacks)
    expect(error.message).toContain(mend)
  }
})

test('what is for no shortage stays what it is', () => {
  expect(explained('ENOENT', 'spawn ENOENT')).toMatchObject({ code: 'ENOENT', message: 'spawn ENOENT' })
  expect(explained('ERR_WORKER_INIT_FAILED', 'Worker initialization failure: EINVAL')).toMatchObject({ code: 'ERR_WORKER_INIT_FAILED' })
})
