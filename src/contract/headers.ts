/** Sent by the frontend on every call: another site cannot add it without a CORS preflight, which is refused. */
export const CSRF_HEADER = 'x-csrf'
export const CSRF_VALUE = '1'
/** On every response of the gateway, and sent to every upstream. */
export const REQUEST_ID_HEADER = 'x-request-id'
