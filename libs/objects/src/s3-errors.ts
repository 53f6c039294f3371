/** What S3 and the network say, in our words and with what to do about it. */
import { FailedPrecondition, NotFound, ResourceExhausted, Unavailable } from '@emotune/base';
import type { S3Place } from './s3-place.js';

interface Answer {
  readonly name?: string;
  readonly message?: string;
  /** Of the system. */
  readonly code?: string;
  readonly Code?: string;
  readonly Region?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

export function s3Code(error: unknown): string {
  const { name = '', Code } = error as Answer;
  return Code ?? name;
}

function statusOf(error: unknown): number | undefined {
  return (error as Answer).$metadata?.httpStatusCode;
}

export function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && /^(NoSuchKey|NotFound|Unknown)$/.test(s3Code(error));
}

/** The object is another now than the one that was asked for. */
export function isChanged(error: unknown): boolean {
  return statusOf(error) === 412 || /^(PreconditionFailed|ConditionalRequestConflict)$/.test(s3Code(error));
}

const passing = new Set([
  ...['SlowDown', 'RequestTimeout', 'ServiceUnavailable', 'InternalError', 'ThrottlingException'],
  ...['TimeoutError', 'AbortError', 'RequestLimitExceeded', 'OperationAborted'],
]);

/** Whether the same request may succeed later without anybody's help. */
export function passes(error: unknown): boolean {
  const status = statusOf(error);
  const { code = '', message = '' } = error as Answer;
  if (passing.has(s3Code(error))) return true;
  // A body that breaks off has the status of its beginning.
  if (/^E[A-Z_]{3,}$/.test(code)) return code !== 'EPROTO' && !code.startsWith('ERR_');
  if (/socket hang up|^aborted$|premature close|network socket disconnected/i.test(message)) return true;
  return (
    status !== undefined &&
    (status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 507))
  );
}

const certificate = /CERT|^ERR_TLS|UNABLE_TO_|EPROTO/;
const unknownKey =
  /^(InvalidAccessKeyId|SignatureDoesNotMatch|XAdminUserNotFound|InvalidClientTokenId|UnrecognizedClientException)$/;
const expired = /^(ExpiredToken|ExpiredTokenException|TokenRefreshRequired|RequestExpired|InvalidToken)$/;
const elsewhere =
  /^(PermanentRedirect|TemporaryRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException|BadEndpoint)$/;
const full =
  /^(QuotaExceeded|XMinioStorageFull|XMinioAdminBucketQuotaExceeded|InsufficientStorage|StorageFull)$/;

/** Where the bucket is, as the answer tells it. */
function regionIn(answer: Answer): string {
  const told =
    answer.Region ??
    answer.$response?.headers?.['x-amz-bucket-region'] ??
    /expecting '([a-z0-9-]+)'/.exec(answer.message ?? '')?.[1];
  return told ?? 'its region';
}

/** @param doing "put a/b" */
export function s3Error(error: unknown, place: S3Place, doing: string): unknown {
  const answer = error as Answer;
  const code = s3Code(error);
  const status = statusOf(error);
  const at = `s3://${place.bucket}${place.endpoint === undefined ? '' : ` at ${place.endpoint}`}`;
  const cause = { cause: error };
  const refused = (text: string) => new FailedPrecondition(`${at}: ${text}`, cause);
  if (code === 'NoSuchBucket')
    return refused('there is no such bucket; create it, or name another in EMOTUNE_OBJECTS_URL');
  if (elsewhere.test(code) || status === 301)
    return refused(`the bucket is in another region; set AWS_REGION to ${regionIn(answer)}`);
  if (expired.test(code))
    return new Unavailable(
      `${at}: the credentials have expired (${code}); renew them, and start again what has them in its environment`,
      cause,
    );
  if (unknownKey.test(code))
    return refused(
      `the credentials are not accepted (${code}); check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
    );
  if (code === 'CredentialsProviderError')
    return refused(
      'no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, mount a credentials file, or give the pod an identity',
    );
  if (code === 'RequestTimeTooSkewed') return refused('the clock of this machine is wrong; set it');
  if (full.test(code) || status === 507)
    return new ResourceExhausted(`${at}: there is no room (${code}); free some, then try again`, cause);
  if (status === 403)
    return refused(
      `may not ${doing} (${code}); allow s3:ListBucket, s3:ListBucketMultipartUploads on the bucket and s3:GetObject, s3:PutObject, ` +
        `s3:DeleteObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts on ${place.prefix === '' ? '*' : `${place.prefix}/*`}`,
    );
  if (/region is missing/i.test(answer.message ?? '')) return refused('no region is set; set AWS_REGION');
  if (certificate.test(answer.code ?? ''))
    return refused(
      `the server's certificate is not trusted (${answer.code}); name its authority in NODE_EXTRA_CA_CERTS, or mend the endpoint`,
    );
  if (isAbsent(error)) return new NotFound(`${at}: expected what to ${doing}`, cause);
  if (passes(error))
    return new Unavailable(
      `${at} cannot be reached to ${doing}: ${answer.message || (answer.code ?? code)}`,
      cause,
    );
  return error;
}
