/* What S3 calls what goes wrong: code, status, sentence. */
#ifndef FT_API_S3_ERROR_H
#define FT_API_S3_ERROR_H

/* clang-format off */
#define FT_S3_ERRORS(E) \
    E(AccessDenied, 403, "Access Denied") \
    E(AccessControlListNotSupported, 400, "The bucket does not allow ACLs") \
    E(AccessForbidden, 403, "CORSResponse: This CORS request is not allowed.") \
    E(AuthorizationHeaderMalformed, 400, "The authorization header you provided is invalid.") \
    E(AuthorizationQueryParametersError, 400, \
      "The authorization query parameters you provided are invalid.") \
    E(BadDigest, 400, \
      "The Content-MD5 or checksum value you specified did not match what we " \
      "received.") \
    E(BadRequest, 400, "Bad Request") \
    E(BucketAlreadyExists, 409, \
      "The requested bucket name is not available. The bucket namespace is shared by " \
      "all users of the system. Please select a different name and try again.") \
    E(BucketAlreadyOwnedByYou, 409, \
      "Your previous request to create the named bucket succeeded and you already own" \
      " it.") \
    E(BucketNotEmpty, 409, "The bucket you tried to delete is not empty.") \
    E(ConditionalRequestConflict, 409, \
      "The conditional request cannot succeed due to a conflicting operation against " \
      "this resource.") \
    E(EntityTooLarge, 400, "Your proposed upload exceeds the maximum allowed size") \
    E(EntityTooSmall, 400, "Your proposed upload is smaller than the minimum allowed size") \
    E(ExpiredToken, 400, "The provided token has expired.") \
    E(IllegalLocationConstraintException, 400, \
      "The unspecified location constraint is incompatible for the region specific " \
      "endpoint this request was sent to.") \
    E(IllegalVersioningConfigurationException, 400, \
      "The versioning configuration specified in the request is invalid.") \
    E(IncompleteBody, 400, \
      "You did not provide the number of bytes specified by the Content-Length HTTP " \
      "header") \
    E(InternalError, 500, "We encountered an internal error. Please try again.") \
    E(InvalidAccessKeyId, 403, \
      "The AWS Access Key Id you provided does not exist in our records.") \
    E(InvalidArgument, 400, "Invalid Argument") \
    E(InvalidBucketName, 400, "The specified bucket is not valid.") \
    E(InvalidBucketState, 409, \
      "The request is not valid with the current state of the bucket.") \
    E(InvalidBucketAclWithObjectOwnership, 400, "The bucket's ACL grants to others") \
    E(InvalidDigest, 400, "The Content-MD5 you specified is not valid.") \
    E(InvalidEncryptionAlgorithmError, 400, \
      "The encryption request you specified is not valid. The valid value is AES256.") \
    E(InvalidLocationConstraint, 400, "The specified location-constraint is not valid") \
    E(InvalidObjectState, 403, \
      "The operation is not valid for the current state of the object.") \
    E(InvalidPart, 400, \
      "One or more of the specified parts could not be found. The part might not have" \
      " been uploaded, or the specified entity tag might not have matched the part's " \
      "entity tag.") \
    E(InvalidPartNumber, 416, "The requested partnumber is not satisfiable") \
    E(InvalidPartOrder, 400, \
      "The list of parts was not in ascending order. Parts list must be specified in " \
      "order by part number.") \
    E(InvalidPolicyDocument, 400, \
      "The content of the form does not meet the conditions specified in the policy " \
      "document.") \
    E(InvalidRange, 416, "The requested range is not satisfiable") \
    E(InvalidRequest, 400, "Invalid Request") \
    E(InvalidRetentionPeriod, 400, "The retention period is not valid.") \
    E(InvalidSecurity, 403, "The provided security credentials are not valid.") \
    E(InvalidStorageClass, 400, "The storage class you specified is not valid") \
    E(InvalidTag, 400, "The tag provided was not a valid tag.") \
    E(InvalidTargetBucketForLogging, 400, \
      "The target bucket for logging does not exist, is not owned by you, or does not" \
      " have the appropriate grants for the log-delivery group.") \
    E(InvalidURI, 400, "Couldn't parse the specified URI.") \
    E(KeyTooLongError, 400, "Your key is too long") \
    E(MalformedACLError, 400, \
      "The XML you provided was not well-formed or did not validate against our " \
      "published schema") \
    E(MalformedPOSTRequest, 400, \
      "The body of your POST request is not well-formed multipart/form-data.") \
    E(MalformedPolicy, 400, "This policy contains invalid Json") \
    E(MalformedXML, 400, \
      "The XML you provided was not well-formed or did not validate against our " \
      "published schema") \
    E(MaxMessageLengthExceeded, 400, "Your request was too big.") \
    E(MaxPostPreDataLengthExceededError, 400, \
      "Your POST request fields preceding the upload file were too large.") \
    E(MetadataTooLarge, 400, \
      "Your metadata headers exceed the maximum allowed metadata size.") \
    E(MethodNotAllowed, 405, "The specified method is not allowed against this resource.") \
    E(MissingContentLength, 411, "You must provide the Content-Length HTTP header.") \
    E(MissingRequestBodyError, 400, "Request body is empty.") \
    E(MissingSecurityHeader, 400, "Your request was missing a required header.") \
    E(NoSuchBucket, 404, "The specified bucket does not exist") \
    E(NoSuchBucketPolicy, 404, "The bucket policy does not exist") \
    E(NoSuchCORSConfiguration, 404, "The CORS configuration does not exist") \
    E(NoSuchKey, 404, "The specified key does not exist.") \
    E(NoSuchLifecycleConfiguration, 404, "The lifecycle configuration does not exist") \
    E(NoSuchObjectLockConfiguration, 404, \
      "The specified object does not have a ObjectLock configuration") \
    E(NoSuchPublicAccessBlockConfiguration, 404, \
      "The public access block configuration was not found") \
    E(NoSuchTagSet, 404, "The TagSet does not exist") \
    E(NoSuchTagSetError, 404, "The TagSet does not exist") \
    E(NoSuchUpload, 404, \
      "The specified upload does not exist. The upload ID may be invalid, or the " \
      "upload may have been aborted or completed.") \
    E(NoSuchVersion, 404, "The specified version does not exist.") \
    E(NoSuchWebsiteConfiguration, 404, \
      "The specified bucket does not have a website configuration") \
    E(NotImplemented, 501, \
      "A header or query you provided implies functionality that is not implemented.") \
    E(NotModified, 304, "Not Modified") \
    E(ObjectLockConfigurationNotFoundError, 404, \
      "Object Lock configuration does not exist for this bucket") \
    E(OperationAborted, 409, \
      "A conflicting conditional operation is currently in progress against this " \
      "resource. Try again.") \
    E(OwnershipControlsNotFoundError, 404, "The bucket ownership controls were not found") \
    E(PreconditionFailed, 412, \
      "At least one of the pre-conditions you specified did not hold") \
    E(QuotaExceeded, 403, "The project may not store more.") \
    E(ReplicationConfigurationNotFoundError, 404, \
      "The replication configuration was not found") \
    E(RequestTimeTooSkewed, 403, \
      "The difference between the request time and the server's time is too large.") \
    E(RequestTimeout, 400, \
      "Your socket connection to the server was not read from or written to within " \
      "the timeout period.") \
    E(ServerSideEncryptionConfigurationNotFoundError, 404, \
      "The server side encryption configuration was not found") \
    E(ServiceUnavailable, 503, "Service is unable to handle request.") \
    E(SignatureDoesNotMatch, 403, \
      "The request signature we calculated does not match the signature you provided." \
      " Check your key and signing method.") \
    E(SlowDown, 503, "Please reduce your request rate.") \
    E(TooManyBuckets, 400, "You have attempted to create more buckets than allowed.") \
    E(UnexpectedContent, 400, "This request does not support content") \
    E(UnresolvableGrantByEmailAddress, 400, \
      "The e-mail address you provided does not match any account on record.") \
    E(UserKeyMustBeSpecified, 400, \
      "The bucket POST must contain the specified field name. If it is specified, " \
      "check the order of the fields.") \
    E(XAmzContentChecksumMismatch, 400, \
      "The provided 'x-amz-checksum' header does not match what was computed.") \
    E(XAmzContentSHA256Mismatch, 400, \
      "The provided 'x-amz-content-sha256' header does not match what was computed.")
/* clang-format on */

enum ft_s3_code {
#define E(name, status, text) FT_S3_##name,
    FT_S3_ERRORS(E)
#undef E
};

struct ft_s3_code_info {
    const char *name;
    int status;
    const char *message;
};
const struct ft_s3_code_info *ft_s3_code_info(enum ft_s3_code code);

#endif
