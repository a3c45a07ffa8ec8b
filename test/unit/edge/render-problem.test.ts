import { describe, expect, it } from 'vitest'
import { PROBLEMS, problem } from '../../../src/domain/problem.ts'
import type { ProblemCode } from '../../../src/domain/problem.ts'
import { problemAnswer } from '../../../src/edge/render-problem.ts'

const settings = { https: true, loginPath: '/bff/login' }
const fetching = { 'sec-fetch-mode': 'cors' }
const navigating = { 'sec-fetch-mode': 'navigate' }
const context = (headers: Record<string, string>, url = '/orders?id=7') => ({ requestId: 'req-1', method: 'GET', url, headers })
const CODES = Object.keys(PROBLEMS) as ProblemCode[]

describe('every problem of the catalogue', () => {
  it.each(CODES)('%s: JSON for a fetch, with code, fix and request id, and no operator hint', (code) => {
    const answer = problemAnswer(settings, code, context(fetching))
    expect(answer.status).toBe(PROBLEMS[code].status)
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    const body = JSON.parse(answer.body) as Record<string, unknown>
    expect(body).toMatchObject({ code, status: PROBLEMS[code].status, request_id: 'req-1', fix: PROBLEMS[code].fix })
    expect(body).not.toHaveProperty('operator')
    expect(body['login_url']).toBe(PROBLEMS[code].status === 401 && !problem(code).signsInElsewhere ? '/bff/login' : undefined)
  })

  it.each(CODES)('%s: a page without script for a navigation, with the request id', (code) => {
    const answer = problemAnswer(settings, code, context(navigating))
    expect(answer.status).toBe(PROBLEMS[code].status)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.body).toContain('<html lang="en">')
    expect(answer.body).toContain('<h1>')
    expect(answer.body).toContain('req-1')
    expect(answer.body).not.toMatch(/<script|javascript:|onclick/i)
    const { operator } = PROBLEMS[code] as { operator?: string }
    if (operator) expect(answer.body).not.toContain(operator)
  })

  it.each(CODES)('%s: never cached, never framed, never sniffed, and the cookie untouched', (code) => {
    for (const headers of [fetching, navigating]) {
      const answer = problemAnswer(settings, code, context(headers))
      expect(answer.headers).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'strict-transport-security': 'max-age=31536000; includeSubDomains',
      })
      expect(answer.headers['content-security-policy']).toMatch(/^default-src 'none';.*frame-ancestors 'none'$/)
      expect(answer.headers).not.toHaveProperty('set-cookie')
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
    }
  })
})

it.each(CODES)('%s: a page offers a sign-in exactly where one helps, and speaks of no header or origin', (code) => {
  const { body } = problemAnswer(settings, code, context(navigating))
  const { status, signsInElsewhere } = problem(code)
  expect(/<a href="\/bff\/login[^"]*">Sign in<\/a>/.test(body)).toBe(status === 401 && !signsInElsewhere && !code.startsWith('login.'))
  if (code.startsWith('csrf.')) expect(body).not.toMatch(/CSRF|header|origin|another site/i)
})

it('leads back to where the person was, as an escaped parameter', () => {
  const { body } = problemAnswer(settings, 'session.absent', context(navigating, '/orders?a="><img src=x onerror=alert(1)>'))
  expect(body).toContain('href="/bff/login?return_to=%2Forders%3Fa%3D%22%3E%3Cimg')
  expect(body).not.toContain('<img')
})

it.each(['/bff/callback?code=secret-code&state=secret-state', '//evil.example/x', '/\\evil.example/x', 'http://evil.example/', '/bff?x=1'])(
  'never offers %s as a place to come back to',
  (url) => {
    const { body } = problemAnswer(settings, 'provider.unavailable', context(navigating, url))
    expect(body).not.toContain('secret-')
    expect(body).not.toContain('evil')
    expect(body).not.toContain('return_to')
  },
)

it.each([
  [0.2, '1'],
  [4.1, '5'],
  [30, '30'],
])('Retry-After of %s s is %s: whole seconds, never zero', (seconds, expected) => {
  expect(problemAnswer(settings, 'provider.unavailable', context(fetching), { retryAfterSeconds: seconds }).headers['retry-after']).toBe(
    expected,
  )
})

it('has Retry-After on each 503 that says to come back', () => {
  for (const code of ['store.unavailable', 'store.key-unknown', 'provider.unavailable', 'proxy.overloaded'] as const)
    expect(problemAnswer(settings, code, context(fetching)).headers['retry-after']).toMatch(/^[1-9]\d*$/)
})

it('promises https only where the public URL is https', () => {
  expect(problemAnswer({ ...settings, https: false }, 'session.absent', context(fetching)).headers).not.toHaveProperty(
    'strict-transport-security',
  )
})
