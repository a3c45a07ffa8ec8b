import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { cookieParts, newCookie } from '../../../src/session/id.ts'

it('splits a cookie into the ref of its first 16 bytes and its last 32 bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 48, maxLength: 48 }), (bytes) => {
      const parts = cookieParts(Buffer.from(bytes).toString('base64url'))
      expect(parts?.ref).toBe(createHash('sha256').update(bytes.subarray(0, 16)).digest().subarray(0, 16).toString('base64url'))
      expect(parts?.dataKey.reveal()).toBe(Buffer.from(bytes.subarray(16)).toString('base64url'))
    }),
  )
})
it('takes nothing but 64 base64url characters for a cookie', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
      expect(cookieParts(text) !== undefined).toBe(/^[A-Za-z0-9_-]{64}$/.test(text))
    }),
  )
})
it.each`
  cookie                       | because
  ${`${'A'.repeat(64)}\n`}     | ${'a line end is not part of it'}
  ${`${'A'.repeat(62)}==`}     | ${'there is no padding'}
  ${`${'A'.repeat(63)}/`}      | ${'the other alphabet is another spelling'}
  ${`\u00a0${'A'.repeat(63)}`} | ${'no space of any kind'}
  ${`"${'A'.repeat(62)}"`}     | ${'no quotes'}
`('does not take $cookie: $because', ({ cookie }: { cookie: string }) => {
  expect(cookieParts(cookie)).toBeUndefined()
})
it('makes cookies that are never the same and that it reads itself', () => {
  const cookies = Array.from({ length: 500 }, newCookie)
  expect(new Set(cookies.map(({ ref }) => ref)).size).toBe(500)
  expect(new Set(cookies.map(({ dataKey }) => dataKey.reveal())).size).toBe(500)
  for (const { cookie, ref, dataKey } of cookies) {
    const parts = cookieParts(cookie.reveal())
    expect([parts?.ref, parts?.dataKey.reveal()]).toEqual([ref, dataKey.reveal()])
  }
})
