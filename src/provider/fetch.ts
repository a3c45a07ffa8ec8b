import type { Dispatcher } from 'undici'

/** What one request came to. `sent` is exact: `not-sent` only when no byte of the request can have left. */
export type Exchange =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly contentType: string | undefined
      readonly retryAfter: string | undefined
      /** Empty for an error status whose body was encoded, too large, too slow or cut: the status counts. */
      readonly body: string
    }
  | { readonly kind: 'failed'; readonly sent: 'not-sent' | 'unknown'; readonly cause: string }

export interface Outgoing {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** For everything: connecting, sending, headers and the whole body. */
  readonly timeoutMs: number
}

export type BoundedFetch = (request: Outgoing) => Promise<Exchange>

/** Token answers, metadata and key sets are far smaller; nothing is ever decoded, so this is also the bound after decoding. */
export const RESPONSE_BYTES_MAX = 256 * 1024

/**
 * The one way this process speaks to a provider. No redirect is followed, no content coding accepted (a coded answer is refused before its first
 * byte is decoded), no retry made; bytes and total time are bounded.
 */
export const createFetch =
  (dispatcher: Dispatcher): BoundedFetch =>
  ({ url, method, headers, body, timeoutMs }) =>
    new Promise((resolve) => {
      const chunks: Buffer[] = []
      let started = false
      let settled = false
      let bytes = 0
      let head: Omit<Extract<Exchange, { kind: 'answered' }>, 'kind' | 'body'> | undefined
      let controller: Dispatcher.DispatchController | undefined

      const settle = (exchange: Exchange): void => {
        if (settled) return
        settled = true
        clearTimeout(timer)
        resolve(exchange)
        if (exchange.kind === 'failed' || exchange.body === '') controller?.abort(new Error('answer not wanted'))
      }
      const fail = (cause: string): void => {
        if (head && head.status >= 400) settle({ kind: 'answered', ...head, body: '' })
        else settle({ kind: 'failed', sent: started ? 'unknown' : 'not-sent', cause })
      }
      const timer = setTimeout(() => fail('timeout'), Math.max(1, timeoutMs))

      const handler: Dispatcher.DispatchHandler = {
        onRequestStart(started_) {
          controller = started_
          // Timed out while connecting: the caller was told `not-sent`, so nothing may leave now. undici asks here right before the first write.
          if (settled) return started_.abort(new Error('too late'))
          started = true
        },
        onResponseStart(_controller, status, responseHeaders) {
          if (status < 200) return // interim answers
          const header = (name: string): string | undefined => single(responseHeaders[name])
          head = { status, contentType: header('content-type'), retryAfter: header('retry-after') }
          if (status >= 300 && status < 400) return fail('redirect')
          const coding = header('content-encoding')
          if (coding !== undefined && coding !== 'identity') return fail('content-encoding')
          if (Number(header('content-length') ?? 0) > RESPONSE_BYTES_MAX) return fail('body-too-large')
        },
        onResponseData(_controller, chunk) {
          if (settled) return
          bytes += chunk.length
          if (bytes > RESPONSE_BYTES_MAX) return fail('body-too-large')
          chunks.push(chunk)
        },
        onResponseEnd() {
          if (!head || head.status > 599) return fail('malformed')
          settle({ kind: 'answered', ...head, body: Buffer.concat(chunks).toString('utf8') })
        },
        onResponseError(_controller, error) {
          fail(causeOf(error))
        },
      }
      try {
        dispatcher.dispatch(
          {
            origin: url.origin,
            path: `${url.pathname}${url.search}`,
            method,
            headers: { 'user-agent': 'sallyport', ...headers, 'accept-encoding': 'identity' },
            body: body ?? null,
          },
          handler,
        )
      } catch (error) {
        fail(causeOf(error))
      }
    })

const single = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value.join(', ') : value)

const CODE = /^[A-Z0-9_]{1,64}$/
/** The network error's code, for instance ECONNREFUSED; never its message, which can quote what was sent. */
const causeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && CODE.test(code) ? code : 'network'
}
