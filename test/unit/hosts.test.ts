import { describe, expect, it } from 'vitest'
import { hostAs, hostOf, isAddress, reaches } from '#src/hosts.js'

describe('a host', () => {
  it.each([
    ['API.Example.COM', 'api.example.com'],
    ['example.com.', 'example.com'],
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '[::1]'],
    ['[::1]', '[::1]'],
    ['0:0:0:0:0:0:0:1', '[::1]'],
    ['FE80::1%eth0', '[fe80::1]'],
    ['No:address', 'no:address'],
    ['evil.example\0.example.com', 'evil.example'],
  ])('%s is written %s', (given, written) => {
    expect(hostAs(given)).toBe(written)
  })

  it.each([
    ['api.example.com:443', 'api.example.com'],
    ['[::1]:443', '[::1]'],
    ['::1', '[::1]'],
    ['*', '*'],
  ])('is the part before the port: %s', (address, host) => {
    expect(hostOf(address)).toBe(host)
  })
})

describe('an address', () => {
  it.each(['127.0.0.1', '127.1', '::1', '[::1]', 'fe80::1%eth0'])('is %s', (host) => {
    expect(isAddress(host)).toBe(true)
  })

  it.each(['', 'localhost', '1.example.com', 'secret:data', 'a::b::c', '0x7f.1'])('is not %j', (host) => {
    expect(isAddress(host)).toBe(false)
  })
})

describe('a permission', () => {
  it.each([
    ['*', 'example.com:80'],
    ['example.com', 'example.com:80'],
    ['example.com', 'EXAMPLE.com.:80'],
    ['Example.com:80', 'example.com:80'],
    ['*.example.com', 'a.b.example.com:80'],
    ['*.example.com:80', 'a.example.com:80'],
    ['[::1]:80', '[::1]:80'],
    ['[0:0::1]', '[::1]:80'],
    ['127.0.0.1', '127.0.0.1:80'],
  ])('of %s reaches %s', (allowed, wanted) => {
    expect(reaches(allowed, wanted)).toBe(true)
  })

  it.each([
    ['example.com', 'an-example.com:80'],
    ['example.com', 'a.example.com:80'],
    ['example.com:80', 'example.com:8080'],
    ['example.com:80', 'example.com'],
    ['*.example.com', 'example.com:80'],
    ['*.example.com', 'evil-example.com:80'],
    ['[::1]', '[::2]:80'],
    ['[::1]:80', '[::1]:81'],
    ['127.0.0.1', '127.0.0.10:80'],
    ['*.example.com', 'evil.example\0.example.com:80'],
  ])('of %s does not reach %s', (allowed, wanted) => {
    expect(reaches(allowed, wanted)).toBe(false)
  })
})
