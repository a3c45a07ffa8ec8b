import type { ProblemDocument } from '../contract/problem-document.ts'
import type { ProblemCode } from '../domain/problem.ts'
import { GatewayError, problem } from '../domain/problem.ts'
import type { Answer } from './answer.ts'
import { ownHeaders, withForms } from './answer.ts'
import type { HeaderBag } from './guard-csrf.ts'
import { isNavigation } from './guard-csrf.ts'
import type { PageContent, Pages } from './pages/layout.ts'
import { PLAIN_PAGES } from './pages/layout.ts'
import { problemPage } from './pages/problem-page.ts'

export interface ProblemSettings {
  readonly https: boolean
  /** Path of the login endpoint. */
  readonly loginPath: string
  /** How pages look; plain unless set. */
  readonly pages?: Pages
}

export interface ProblemContext {
  readonly requestId: string
  readonly method: string
  /** The request's path with its query, as it came; becomes the return-to of the page's link, which login validates. */
  readonly url: string
  readonly headers: HeaderBag
}

export interface ProblemExtras {
  readonly retryAfterSeconds?: number | undefined
  readonly allow?: readonly string[]
  /** `WWW-Authenticate`: what a caller without a cookie could bring. */
  readonly challenge?: string | undefined
  /** Where the page's links lead back to instead of the request's own path. */
  readonly returnTo?: string | undefined
}

/**
 * The one place that turns a problem into bytes: problem+json for fetch, a page for navigations. Never touches the cookie, never says more than
 * the catalogue, and no header of the request is repeated in it.
 */
export const problemAnswer = (
  settings: ProblemSettings,
  code: ProblemCode,
  context: ProblemContext,
  extras: ProblemExtras = {},
): Answer => {
  const definition = problem(code)
  const retryAfter = extras.retryAfterSeconds ?? definition.retryAfterSeconds
  const common = {
    ...(retryAfter !== undefined && { 'retry-after': String(Math.max(1, Math.ceil(retryAfter))) }),
    ...(extras.allow && { allow: extras.allow.join(', ') }),
    ...(extras.challenge !== undefined && { 'www-authenticate': extras.challenge }),
  }
  if (isNavigation(context.headers)) {
    const returnTo = extras.returnTo ?? (context.method === 'GET' && !isOwn(context.url, settings) ? context.url : undefined)
    const content = problemPage({
      code,
      definition,
      requestId: context.requestId,
      loginUrl: loginUrl(settings, returnTo),
      retryUrl: context.method === 'GET' ? (isOwn(context.url, settings) ? loginUrl(settings, returnTo) : context.url) : undefined,
    })
    return pageAnswer(settings, definition.status, content, common)
  }
  const document: ProblemDocument = {
    type: `urn:sallyport:problem:${code}`,
    title: definition.title,
    status: definition.status,
    code,
    fix: definition.fix,
    request_id: context.requestId,
    ...(definition.status === 401 && !definition.signsInElsewhere && { login_url: settings.loginPath }),
  }
  return {
    status: definition.status,
    headers: { ...ownHeaders(settings.https), 'content-type': 'application/problem+json; charset=utf-8', ...common },
    body: JSON.stringify(document),
  }
}

/** A page of the gateway's own, as the operator wants it to look. */
export const pageAnswer = (
  { https, pages = PLAIN_PAGES }: ProblemSettings,
  status: number,
  content: PageContent,
  headers: Answer['headers'] = {},
): Answer => ({
  status,
  headers: {
    ...ownHeaders(https, content.entries ? withForms(pages.policy) : pages.policy),
    // Else a form's Origin would be `null`, by which a browser without Fetch Metadata is judged.
    ...(content.entries && { 'referrer-policy': 'same-origin' }),
    'cross-origin-opener-policy': 'same-origin',
    'content-type': 'text/html; charset=utf-8',
    ...headers,
  },
  body: pages.render(content),
})

/** `//host` and `/\host` are other hosts to a browser. */
const LOCAL = /^\/(?![/\\])/

/** A page of the gateway's own is never a place to come back to. */
const isOwn = (url: string, settings: ProblemSettings): boolean => {
  const base = settings.loginPath.slice(0, settings.loginPath.lastIndexOf('/'))
  return url === base || url.startsWith(`${base}/`) || url.startsWith(`${base}?`) || !LOCAL.test(url)
}

/** @param returnTo as it came; the login endpoint is the one that validates it */
export const loginUrl = (settings: ProblemSettings, returnTo: string | undefined): string =>
  returnTo === undefined || returnTo === '/' ? settings.loginPath : `${settings.loginPath}?return_to=${encodeURIComponent(returnTo)}`

/** What escaped: ours keeps its code, anything else is `gateway.failed`, and nothing of it goes out. */
export const codeOf = (error: unknown): { readonly code: ProblemCode; readonly retryAfterSeconds: number | undefined } =>
  error instanceof GatewayError
    ? { code: error.code, retryAfterSeconds: error.retryAfterSeconds }
    : { code: 'gateway.failed', retryAfterSeconds: undefined }
