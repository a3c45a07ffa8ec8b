import { createHash } from 'node:crypto'
import '@fastify/cookie'
import type { FastifyReply } from 'fastify'
import type { SetCookie } from '../domain/set-cookie.ts'

/** A whole response of the gateway's own, ready to be written by Fastify or by hand. Names are lower case. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: string
  readonly cookies?: readonly SetCookie[]
}

/** CSP source of an inline style or script. */
export const hashSource = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Nothing loads, nothing frames it, nothing is posted from it. Never `sandbox`: Chromium then treats the next navigation as cross-site. */
export const csp = (...extra: readonly string[]): string => framedBy(["'none'"], ...extra)

/** As `csp`, but for who may frame it. @param ancestors CSP sources */
export const framedBy = (ancestors: readonly string[], ...extra: readonly string[]): string =>
  ["default-src 'none'", ...extra, "base-uri 'none'", "form-action 'none'", `frame-ancestors ${ancestors.join(' ')}`].join('; ')

/** For a page with forms that post to us. */
export const withForms = (policy: string): string => policy.replace("form-action 'none'", "form-action 'self'")

/** On every answer the gateway makes itself (security.md 91–96); `no-store` because each of them depends on the session or sets a cookie. */
export const ownHeaders = (https: boolean, policy: string = csp()): Record<string, string> => ({
  'cache-control': 'no-store',
  'content-security-policy': policy,
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  ...(https && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
})

export const jsonAnswer = (https: boolean, status: number, value: unknown): Answer => ({
  status,
  headers: { ...ownHeaders(https), 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify(value),
})

/** 302 or 303, never 307/308: a redirect must not replay a body (RFC 9700 §4.12). */
export const redirectAnswer = (https: boolean, status: 302 | 303, location: string): Answer => ({
  status,
  headers: { ...ownHeaders(https), location },
  body: '',
})

export const withCookies = (answer: Answer, cookies: readonly SetCookie[]): Answer => ({ ...answer, cookies })

/** Writes an answer through Fastify; a browser that has left meanwhile makes it a no-op. */
export const sendAnswer = (reply: FastifyReply, answer: Answer): FastifyReply => {
  if (reply.sent) return reply
  reply.code(answer.status)
  for (const [name, value] of Object.entries(answer.headers)) reply.header(name, typeof value === 'string' ? value : [...value])
  for (const cookie of answer.cookies ?? []) setCookie(reply, cookie)
  return reply.send(answer.body)
}

/** The one place a cookie leaves from. */
const setCookie = (reply: FastifyReply, { name, value, sameSite, priority, maxAgeSeconds }: SetCookie): void => {
  reply.setCookie(name, value?.reveal() ?? '', {
    path: '/',
    secure: true,
    httpOnly: true,
    sameSite,
    ...(priority && { priority }),
    ...(maxAgeSeconds !== undefined && { maxAge: maxAgeSeconds }),
  })
}
