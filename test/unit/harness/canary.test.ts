import { expect, it } from 'vitest'
import { canary, expectNoLeak, leaks } from '../../harness/canary.ts'

const secret = canary('refresh-token')

it.each([
  ['in clear', `token=${secret}!`],
  ['in base64', Buffer.from(`x:${secret}:y`).toString('base64')],
  ['in base64url, one byte further', Buffer.from(`xy:${secret}:y`).toString('base64url')],
  ['in base64url, two bytes further', Buffer.from(`xyz:${secret}:y`).toString('base64url')],
  ['in hex, upper case', Buffer.from(secret).toString('hex').toUpperCase()],
  ['backwards', secret.split('').reverse().join('')],
])('finds a secret %s', (_how, text) => {
  expect(leaks([secret], { log: text })).toHaveLength(1)
})

it('finds the beginning of a long secret, where a log has cut it', () => {
  const long = Array.from({ length: 12 }, () => canary('jwt')).join('.')
  expect(leaks([long], { log: `{"code":"${long.slice(0, 256)}"}` })).toHaveLength(1)
  expect(leaks([long], { log: long.slice(0, 100) })).toEqual([])
})

it('finds nothing in a text without the secret', () => {
  expect(leaks([secret], { log: canary('refresh-token') })).toEqual([])
})

it('does not pass when nothing was planted or nothing was collected', () => {
  expect(() => expectNoLeak([], { log: 'x' })).toThrow('no canary was planted')
  expect(() => expectNoLeak([secret], { log: '' })).toThrow('nothing was collected from log')
})
