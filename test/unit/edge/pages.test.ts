import { expect, it } from 'vitest'
import { hashSource } from '../../../src/edge/answer.ts'
import { escapeHtml, PLAIN_PAGES } from '../../../src/edge/pages/layout.ts'
import { bounceAnswer, refreshAnswer, signInAnswer } from '../../../src/edge/pages/onward.ts'

const between = (text: string, open: string, close: string): string => text.slice(text.indexOf(open) + open.length, text.indexOf(close))

it('names the one style of a page by its hash', () => {
  const html = PLAIN_PAGES.render({ title: 'T', text: 'x', actions: [], requestId: 'r' })
  expect(PLAIN_PAGES.policy).toContain(`style-src ${hashSource(between(html, '<style>', '</style>'))}`)
})

it('escapes whatever a page is given', () => {
  const html = PLAIN_PAGES.render({ title: '<b>&"\'', text: '<i>', actions: [{ label: '<u>', href: '/"><script>' }], requestId: '<s>' })
  for (const tag of ['<b>', '<i>', '<u>', '<script>', '<s>']) expect(html).not.toContain(tag)
  expect(escapeHtml('a&b')).toBe('a&#38;b')
})

it('keeps the readable contrast of light and dark', () => {
  const html = PLAIN_PAGES.render({ title: 'T', text: 'x', actions: [], requestId: 'r' })
  expect(html).toContain('color-scheme:light dark')
  expect(html).toContain('prefers-color-scheme:dark')
})

it('goes on by Refresh, without script and without sandbox: the next request is same-origin and carries the Strict cookie', () => {
  const answer = refreshAnswer(true, '/orders?id=7#top')
  expect(answer.status).toBe(200)
  expect(answer.headers['refresh']).toBe('0;url=/orders?id=7#top')
  expect(answer.headers['content-security-policy']).toBe("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
  expect(answer.body).not.toContain('<script')
})

it('bounces to the gateway’s own path, never to the page itself, and allows exactly its own script', () => {
  const answer = bounceAnswer(true, '/bff/continue', '/app/deep?x=1&y="<')
  expect(answer.headers['refresh']).toBe('0;url=/bff/continue?to=%2Fapp%2Fdeep%3Fx%3D1%26y%3D%22%3C')
  const script = between(answer.body, '<script>', '</script>')
  expect(answer.headers['content-security-policy']).toContain(`script-src ${hashSource(script)}`)
  expect(answer.headers['content-security-policy']).not.toContain('sandbox')
  expect(script).toContain('location.hash')
  expect(script).not.toContain('deep')
})

it('leads to the sign-in without script as well, and allows exactly its own script', () => {
  const answer = signInAnswer(true, '/bff/login', '/bff/login?return_to=%2Fapp%2F%22%3C')
  expect(answer.headers['refresh']).toBe('0;url=/bff/login?return_to=%2Fapp%2F%22%3C')
  const script = between(answer.body, '<script>', '</script>')
  expect(answer.headers['content-security-policy']).toContain(`script-src ${hashSource(script)}`)
  expect(answer.headers['content-security-policy']).not.toContain('sandbox')
  expect(script).not.toContain('app')
})
