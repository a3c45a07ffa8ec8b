/** Every URL the gateway answers itself, relative to the base path (default `/bff`). `{ref}`: a session ref, 22 base64url characters. Spec §2. */
export const ENDPOINTS = {
  login: '/login',
  loginResume: '/login/resume',
  callback: '/callback',
  continue: '/continue',
  user: '/user',
  session: '/session',
  sessionRefresh: '/session/refresh',
  sessions: '/sessions',
  sessionsOne: '/sessions/{ref}',
  sessionsOneEnd: '/sessions/{ref}/end',
  logout: '/logout',
  logoutContinue: '/logout/continue',
  logoutLocal: '/logout/local',
  logoutCallback: '/logout/callback',
  logoutBackchannel: '/logout/backchannel',
  logoutFrontchannel: '/logout/frontchannel',
} as const
export const DEFAULT_BASE_PATH = '/bff'
