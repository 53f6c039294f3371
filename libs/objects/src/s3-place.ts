/** Where objects lie in S3, as a URL says it: `s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1`. */
import { InvalidArgument, show } from '@emotune/base';
import { checkedFolder } from './key.js';

export interface S3Place {
  readonly bucket: string;
  /** Before every key, without its closing "/"; empty: the whole bucket. */
  readonly prefix: string;
  /** Undefined: AWS. */
  readonly endpoint: string | undefined;
  /** Undefined: as the profile of the environment has it. */
  readonly region: string | undefined;
}

const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** What servers other than AWS take for theirs where nobody says another. */
const usualRegion = 'us-east-1';

function refuse(description: string): never {
  throw InvalidArgument.at('objects', description);
}

function checkedEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search)
    return refuse(
      `expected https://host or https://host:port as the endpoint, without a password, got ${url ? `one with "${url.protocol}"` : show(text)}`,
    );
  return url.href.replace(/\/$/, '');
}

/**
 * The place that a URL names; what it leaves open, as the variables have it.
 * @throws InvalidArgument, without what may be a password.
 */
export function s3PlaceOf(url: string, variables: Readonly<Record<string, string | undefined>>): S3Place {
  const parsed = URL.canParse(url) ? new URL(url) : refuse('expected s3://bucket/prefix');
  if (parsed.username || parsed.password)
    refuse(
      'expected s3://bucket/prefix without credentials, got some; give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a file or an identity',
    );
  const bucket = parsed.host;
  if (!bucketPattern.test(bucket)) refuse(`expected the name of a bucket after s3://, got ${show(bucket)}`);
  for (const name of parsed.searchParams.keys())
    if (name !== 'endpoint' && name !== 'region')
      refuse(`expected "endpoint" and "region" after "?", got ${show(name)}`);
  const path = decodeURIComponent(parsed.pathname).replace(/^\/|\/$/g, '');
  const given = parsed.searchParams.get('endpoint') ?? variables['EMOTUNE_S3_ENDPOINT'];
  const endpoint = given ? checkedEndpoint(given) : undefined;
  const region =
    parsed.searchParams.get('region') ?? (variables['AWS_REGION'] || variables['AWS_DEFAULT_REGION']);
  return {
    bucket,
    prefix: path === '' ? '' : checkedFolder(path),
    endpoint,
    region: region || (endpoint === undefined ? undefined : usualRegion),
  };
}

/** The URL of a place, which says all that the place does. */
export function urlOf({ bucket, prefix, endpoint, region }: S3Place): string {
  const url = new URL(`s3://${bucket}`);
  url.pathname = prefix === '' ? '' : `/${prefix}`;
  if (endpoint !== undefined) url.searchParams.set('endpoint', endpoint);
  if (region !== undefined) url.searchParams.set('region', region);
  return url.href;
}
