// All a frontend needs to know of the gateway: one header on every call, and a 401 that says where to sign in.

let onSignedOut = () => undefined
/** Called with the problem document of the first 401. */
export const whenSignedOut = (listener) => (onSignedOut = listener)

/** @returns status, body, the request id that is in every log on the way, and seconds to wait where we are told so */
export const call = async (path, options = {}) => {
  const headers = { accept: 'application/json', 'x-csrf': '1', ...options.headers }
  const answer = await fetch(path, { ...options, headers }).catch(() => undefined)
  if (!answer) return { status: 0, body: {}, requestId: '', retryAfter: undefined }
  const body = await answer.json().catch(() => ({}))
  if (answer.status === 401 && body.login_url) onSignedOut(body)
  return {
    status: answer.status,
    body,
    requestId: answer.headers.get('x-request-id') ?? '',
    retryAfter: answer.headers.has('retry-after') ? Number(answer.headers.get('retry-after')) : undefined,
  }
}

export const post = (path, body) =>
  call(path, {
    method: 'POST',
    ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })

/** The controls of the demo are reached without a session; their own header keeps other sites away. */
export const control = (action) => call(`/demo/controls/${action}`, { method: 'POST', headers: { 'x-demo': '1' } })

/** A problem document has a code; an answer of the API itself has none. */
export const isFromGateway = ({ body }) => typeof body.code === 'string' && String(body.type).startsWith('urn:sallyport:')
