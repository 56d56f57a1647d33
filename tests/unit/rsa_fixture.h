/* rsa_fixture.h - public keys made with the openssl command line (their private halves were thrown away), and what the
 * tests of them share. Include cmocka.h before it. */
#ifndef ATTESTD_TESTS_RSA_FIXTURE_H
#define ATTESTD_TESTS_RSA_FIXTURE_H

#include <string.h>

#include "crypto.h"

static const char rsa_1024_spki[] = "-----BEGIN PUBLIC KEY-----\n"
				    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC6IrZyVUBLIFqmXWwlfGODAQ7C\n"
				    "+JdhEjqOxbm7Jq5RqizSPMINUzUt+NUjxEFXn4qqrZKofidoY80X8R/gCVIpZk7/\n"
				    "8mk33ezrs0TMqRiSB6L0+zp3AQIwhn38Y8dTjRJbKbkqj3JDN0u/HHof3WGGDO1x\n"
				    "c6AceyDank1YCnk9FwIDAQAB\n"
				    "-----END PUBLIC KEY-----\n";

static const char rsa_1024_pkcs1[] = "-----BEGIN RSA PUBLIC KEY-----\n"
				     "MIGJAoGBALoitnJVQEsgWqZdbCV8Y4MBDsL4l2ESOo7FubsmrlGqLNI8wg1TNS34\n"
				     "1SPEQVefiqqtkqh+J2hjzRfxH+AJUilmTv/yaTfd7OuzRMypGJIHovT7OncBAjCG\n"
				     "ffxjx1ONElspuSqPckM3S78ceh/dYYYM7XFzoBx7INqeTVgKeT0XAgMBAAE=\n"
				     "-----END RSA PUBLIC KEY-----\n";

static const char rsa_2048_spki[] = "-----BEGIN PUBLIC KEY-----\n"
				    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAx+PeXAGauI7lWDA5w/kT\n"
				    "5mQQxANrtej+y3wB0EolQe4jMIUkMJ48njIMTCls8sTzJQUieccAITGiUcLIT3kq\n"
				    "AADNH/y5gPSr+rDakfv3zshFjZcvT47UMoa3pKNRM9VRa1CLeUuqtEN5jHOjdwN1\n"
				    "5I+WFYl2Z/gBGFzQFXp/F2tp4qAK82VDcHQkogD5CtPqVzSrhFatpQi+M/JNMa0z\n"
				    "/pcZyjx6CyfScoDQNDq1fQVW87hNUFuhTtlJfdrtTchm0/BcXe/MtevI+9740Wyh\n"
				    "mc/IGfZed9pGE0MaorvFkFNRazI01gWPC+DhZ3wxWVSDjMWaUYeTp9f91OAftvHU\n"
				    "HQIDAQAB\n"
				    "-----END PUBLIC KEY-----\n";

static const char rsa_2048_pkcs1[] = "-----BEGIN RSA PUBLIC KEY-----\n"
				     "MIIBCgKCAQEAx+PeXAGauI7lWDA5w/kT5mQQxANrtej+y3wB0EolQe4jMIUkMJ48\n"
				     "njIMTCls8sTzJQUieccAITGiUcLIT3kqAADNH/y5gPSr+rDakfv3zshFjZcvT47U\n"
				     "Moa3pKNRM9VRa1CLeUuqtEN5jHOjdwN15I+WFYl2Z/gBGFzQFXp/F2tp4qAK82VD\n"
				     "cHQkogD5CtPqVzSrhFatpQi+M/JNMa0z/pcZyjx6CyfScoDQNDq1fQVW87hNUFuh\n"
				     "TtlJfdrtTchm0/BcXe/MtevI+9740Wyhmc/IGfZed9pGE0MaorvFkFNRazI01gWP\n"
				     "C+DhZ3wxWVSDjMWaUYeTp9f91OAftvHUHQIDAQAB\n"
				     "-----END RSA PUBLIC KEY-----\n";

static const char rsa_3072_spki[] = "-----BEGIN PUBLIC KEY-----\n"
				    "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEAwMiaJEljk8MYkWfF4/Z1\n"
				    "y8g9+3fueg2uW2IwK6WJdbWlLgoe2qticYhsz3q2fjSu2CrOdIfrLHd6ENpeb3Ez\n"
				    "5h/glkG9LTPQ1BZj1qHGGBbw/sRW0o9JjLkk+YBZa5judgWQ6FX5xKS3/GqfpMi1\n"
				    "fGny7fGvoD7yMPMNlVGvKWf0Ty3PmM+ELgx2b3SmmMejzEG6fk59xe6jx4MgO0qb\n"
				    "vIMpuc0qQ3F6JOfk4lK7CRMcgulRq6oqTYSB8zJLQDGxQhLJk++yVjwD3HBHVG+2\n"
				    "T7TVYFuQip9c6Ed/KhmZS7/C3ZqYOkdjPVM8ZM4RLVMQwCa25NAClLpltsXP0nIS\n"
				    "FwiJwH7rPBwdinxdFbw2wdVHdHPMm6gD8GIXoP1aJAUAunGvBxmVlyB8r5OswAJu\n"
				    "3ld0tOURhtm4mJ5SNqzH0nnWOWfZuzZQQ2OPhWBS35zU0ZDAmIpRCgxhwR46h06z\n"
				    "zxlW6vn4r2q7dKoHRExuUNgwnqKBOP6y802cm6FlwD8jAgMBAAE=\n"
				    "-----END PUBLIC KEY-----\n";

static const char rsa_3072_pkcs1[] = "-----BEGIN RSA PUBLIC KEY-----\n"
				     "MIIBigKCAYEAwMiaJEljk8MYkWfF4/Z1y8g9+3fueg2uW2IwK6WJdbWlLgoe2qti\n"
				     "cYhsz3q2fjSu2CrOdIfrLHd6ENpeb3Ez5h/glkG9LTPQ1BZj1qHGGBbw/sRW0o9J\n"
				     "jLkk+YBZa5judgWQ6FX5xKS3/GqfpMi1fGny7fGvoD7yMPMNlVGvKWf0Ty3PmM+E\n"
				     "Lgx2b3SmmMejzEG6fk59xe6jx4MgO0qbvIMpuc0qQ3F6JOfk4lK7CRMcgulRq6oq\n"
				     "TYSB8zJLQDGxQhLJk++yVjwD3HBHVG+2T7TVYFuQip9c6Ed/KhmZS7/C3ZqYOkdj\n"
				     "PVM8ZM4RLVMQwCa25NAClLpltsXP0nISFwiJwH7rPBwdinxdFbw2wdVHdHPMm6gD\n"
				     "8GIXoP1aJAUAunGvBxmVlyB8r5OswAJu3ld0tOURhtm4mJ5SNqzH0nnWOWfZuzZQ\n"
				     "Q2OPhWBS35zU0ZDAmIpRCgxhwR46h06zzxlW6vn4r2q7dKoHRExuUNgwnqKBOP6y\n"
				     "802cm6FlwD8jAgMBAAE=\n"
				     "-----END RSA PUBLIC KEY-----\n";

static const char rsa_4096_spki[] = "-----BEGIN PUBLIC KEY-----\n"
				    "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAsUlT30iZMPCaJOGO9TX+\n"
				    "uTYAr5MrPnRPtoS16NLHFcXwyxHpX49fA+cCo/LUtWIpJhHQBFjq86nbhGJ1jdnz\n"
				    "EoZUyEmipqrfW4j+W5jJ/hO9vxTHaVqyWPVANLs1RUjAbYZmjGOaWnkYYjke7Fzg\n"
				    "WxV8VLq4kl68F6YuutIPYMfTMkgV2NG9zIM3QkyN4xOH2bLTZB+zWCr5TENsPQaz\n"
				    "pWww82+7TxTvGzhJjXuN5d8bKfWyBFj9yzEIbxfRv0WIG+Mt7XU1ASFvHqgBnO2t\n"
				    "WDnEaskW3XFaFVwjCcE8zpHFi6RrzqFNlWZhintArava0gnNVph7GgFesWuJ7GLF\n"
				    "NBxT4/MMDWrqvtgfRpmQhTeZ/Rcd9SPTdACOTMhgaNxFWjRZwqrpZ2sJcLGmJDzL\n"
				    "w0toOTWCoVDtu2IwFwZH5fHStOygAgaDl8V+D9l5xbNjcfUM19X+18FEGR4Osd5y\n"
				    "F3QOFVk2aCYtQuZrEQ4+XFcLuyJXTDaBJ/Xb5pcAmJ+GYDfa6Hu0/uVWVGvkt4u5\n"
				    "3FDlBpXwSEngionxEGIAwH4Oe/2yYfFYHMW/doJJvz6IDVlVMlHKbS0o6guMEU5G\n"
				    "BtZyEJdhYtN3Ao5SyER/3wXsLCJwO629bFrNlC59vXFQ68DrqKYi4fhoOFTu+YnL\n"
				    "FxkoaBWLXAi+K9RwzYJQ3R8CAwEAAQ==\n"
				    "-----END PUBLIC KEY-----\n";

static const char rsa_4096_pkcs1[] = "-----BEGIN RSA PUBLIC KEY-----\n"
				     "MIICCgKCAgEAsUlT30iZMPCaJOGO9TX+uTYAr5MrPnRPtoS16NLHFcXwyxHpX49f\n"
				     "A+cCo/LUtWIpJhHQBFjq86nbhGJ1jdnzEoZUyEmipqrfW4j+W5jJ/hO9vxTHaVqy\n"
				     "WPVANLs1RUjAbYZmjGOaWnkYYjke7FzgWxV8VLq4kl68F6YuutIPYMfTMkgV2NG9\n"
				     "zIM3QkyN4xOH2bLTZB+zWCr5TENsPQazpWww82+7TxTvGzhJjXuN5d8bKfWyBFj9\n"
				     "yzEIbxfRv0WIG+Mt7XU1ASFvHqgBnO2tWDnEaskW3XFaFVwjCcE8zpHFi6RrzqFN\n"
				     "lWZhintArava0gnNVph7GgFesWuJ7GLFNBxT4/MMDWrqvtgfRpmQhTeZ/Rcd9SPT\n"
				     "dACOTMhgaNxFWjRZwqrpZ2sJcLGmJDzLw0toOTWCoVDtu2IwFwZH5fHStOygAgaD\n"
				     "l8V+D9l5xbNjcfUM19X+18FEGR4Osd5yF3QOFVk2aCYtQuZrEQ4+XFcLuyJXTDaB\n"
				     "J/Xb5pcAmJ+GYDfa6Hu0/uVWVGvkt4u53FDlBpXwSEngionxEGIAwH4Oe/2yYfFY\n"
				     "HMW/doJJvz6IDVlVMlHKbS0o6guMEU5GBtZyEJdhYtN3Ao5SyER/3wXsLCJwO629\n"
				     "bFrNlC59vXFQ68DrqKYi4fhoOFTu+YnLFxkoaBWLXAi+K9RwzYJQ3R8CAwEAAQ==\n"
				     "-----END RSA PUBLIC KEY-----\n";

static const char rsa_8192_spki[] = "-----BEGIN PUBLIC KEY-----\n"
				    "MIIEIjANBgkqhkiG9w0BAQEFAAOCBA8AMIIECgKCBAEA5D7h7vU+RZkx93x6N675\n"
				    "udQESzmtqChvmaoB8/fw5PUiz5hhgvEo9mUinwOW8mlqtX4yPoPeOyvOfuFLEWF+\n"
				    "r4BLtgtDz0/6BCiEc0heabalEr9irXdi+i/o+VoAWnCE/2tumm27lrNtk21HcMO+\n"
				    "HxMLRIt5sX3i2t3lTO+RqfewAtU9dx7Ru5MAEve+5TVw7FykAtmGdmsWbKfhU6h+\n"
				    "8/ar3uMYfinOS93Bp6ybgqEenWmrg1fOzQzo+vurbzi57pg465RecZ7rAantLJZZ\n"
				    "HKhrH2W5ROkfB4rIDEWa9A8omDHkbdaLz94Ryrr4E4yxFunJcajqIVz67giZmS0B\n"
				    "UrvtL6T3G+vJvCHdDvY3uOeC1ch6MNI7u9QWOhK5DE6kD1vqqV6+wgPCTJGkaf+I\n"
				    "+KeeO8gWQczUWV1F7giBwDOdjzGVeZPse73TufkMTfwvzgyA333xeGqgRrCViQgd\n"
				    "I/dO8/WoyH342gxWTBrdDZiCONTwh2StVtMs6E0W3IpcEwlGGDmA7wr5PG9MKU81\n"
				    "GnCXRAPW3GACrnf0NYQkBZHV6nEM40LFNfjSaRxNZhmMvwGTQZ/KRvMu3yTGJR5b\n"
				    "Ukfph0y7eYuQWNDGJGfYFpMZ8n6/ro61Uv+YXciUXoAr84PoF9rZKJLXiSR9mKmS\n"
				    "HDFbQbEQpyYLyttAHnUJTYvXVzLDcdf1GiXxHAiS9d7VVc0PKImFaZiqtCotRI9u\n"
				    "omcMal7C6PBOQySYvhIhz1iOq52lpmCSKtBtFXuc9Ezf/QZpfe9Ai6VIPiJ/dy3W\n"
				    "1Q4rxNE63xaCsEEfEMc0uFVpAVgSna2/bPSl2fKlMWxhnqd4J4JuhM2FmRdJt8sP\n"
				    "dOA5NusgE7LV6UxtrLCE3y1PwAhB6JVDCv/mekZcRBXam7IFsGpu9f+K1hv3jaDZ\n"
				    "TR3ve8JVUfVm4lh+SW6qQc3SEJ27oFj/Drt9QYRApcOkblP7NI2Fuu/670apcmsv\n"
				    "PnZEhM2kz4kbPtcjq27kuXtgnibYM/p+6zECgI0wSnBQFhOcndJDuoF3YIULnrrG\n"
				    "8MRKoPGSuJIG7MR9enqGhklVI1rYUXb0nU2RiOQo9oi9O5C+JCdqcIDtFN6SWSLI\n"
				    "F1cUxreqZDDapViEMEuJZAYXe3OsXVveIAspaHTngDE1u7aF/TjpwLf9N4ruhePN\n"
				    "EIhX10FkEJghoJZN/T8RuNKKkHVpDic/4KuU3HJjwpxlADuKMsqIZFSHrt19J8nU\n"
				    "+KaypEexH4J1Kk1YLvE492BHNPT6L3Nxu0YsmvkDysRYgZTOmkZsH7+/FQuFTENK\n"
				    "EcHuGB3G16CS8Us780Hqs9s1X7pAIYRVE5D7xQ/a/c26fvRliGOCB8PvtUtVWbYI\n"
				    "LQIDAQAB\n"
				    "-----END PUBLIC KEY-----\n";

static const char rsa_8192_pkcs1[] = "-----BEGIN RSA PUBLIC KEY-----\n"
				     "MIIECgKCBAEA5D7h7vU+RZkx93x6N675udQESzmtqChvmaoB8/fw5PUiz5hhgvEo\n"
				     "9mUinwOW8mlqtX4yPoPeOyvOfuFLEWF+r4BLtgtDz0/6BCiEc0heabalEr9irXdi\n"
				     "+i/o+VoAWnCE/2tumm27lrNtk21HcMO+HxMLRIt5sX3i2t3lTO+RqfewAtU9dx7R\n"
				     "u5MAEve+5TVw7FykAtmGdmsWbKfhU6h+8/ar3uMYfinOS93Bp6ybgqEenWmrg1fO\n"
				     "zQzo+vurbzi57pg465RecZ7rAantLJZZHKhrH2W5ROkfB4rIDEWa9A8omDHkbdaL\n"
				     "z94Ryrr4E4yxFunJcajqIVz67giZmS0BUrvtL6T3G+vJvCHdDvY3uOeC1ch6MNI7\n"
				     "u9QWOhK5DE6kD1vqqV6+wgPCTJGkaf+I+KeeO8gWQczUWV1F7giBwDOdjzGVeZPs\n"
				     "e73TufkMTfwvzgyA333xeGqgRrCViQgdI/dO8/WoyH342gxWTBrdDZiCONTwh2St\n"
				     "VtMs6E0W3IpcEwlGGDmA7wr5PG9MKU81GnCXRAPW3GACrnf0NYQkBZHV6nEM40LF\n"
				     "NfjSaRxNZhmMvwGTQZ/KRvMu3yTGJR5bUkfph0y7eYuQWNDGJGfYFpMZ8n6/ro61\n"
				     "Uv+YXciUXoAr84PoF9rZKJLXiSR9mKmSHDFbQbEQpyYLyttAHnUJTYvXVzLDcdf1\n"
				     "GiXxHAiS9d7VVc0PKImFaZiqtCotRI9uomcMal7C6PBOQySYvhIhz1iOq52lpmCS\n"
				     "KtBtFXuc9Ezf/QZpfe9Ai6VIPiJ/dy3W1Q4rxNE63xaCsEEfEMc0uFVpAVgSna2/\n"
				     "bPSl2fKlMWxhnqd4J4JuhM2FmRdJt8sPdOA5NusgE7LV6UxtrLCE3y1PwAhB6JVD\n"
				     "Cv/mekZcRBXam7IFsGpu9f+K1hv3jaDZTR3ve8JVUfVm4lh+SW6qQc3SEJ27oFj/\n"
				     "Drt9QYRApcOkblP7NI2Fuu/670apcmsvPnZEhM2kz4kbPtcjq27kuXtgnibYM/p+\n"
				     "6zECgI0wSnBQFhOcndJDuoF3YIULnrrG8MRKoPGSuJIG7MR9enqGhklVI1rYUXb0\n"
				     "nU2RiOQo9oi9O5C+JCdqcIDtFN6SWSLIF1cUxreqZDDapViEMEuJZAYXe3OsXVve\n"
				     "IAspaHTngDE1u7aF/TjpwLf9N4ruhePNEIhX10FkEJghoJZN/T8RuNKKkHVpDic/\n"
				     "4KuU3HJjwpxlADuKMsqIZFSHrt19J8nU+KaypEexH4J1Kk1YLvE492BHNPT6L3Nx\n"
				     "u0YsmvkDysRYgZTOmkZsH7+/FQuFTENKEcHuGB3G16CS8Us780Hqs9s1X7pAIYRV\n"
				     "E5D7xQ/a/c26fvRliGOCB8PvtUtVWbYILQIDAQAB\n"
				     "-----END RSA PUBLIC KEY-----\n";

static const char ec_p256[] = "-----BEGIN PUBLIC KEY-----\n"
			      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDmZBxdhJIeXHcnyaCp1OZ9wD3iB0\n"
			      "brfJa+TjuI2z7JdUSDhsU2UpUH9mutvr4SPP2tUEYxtZDrFpQHxziS7yrg==\n"
			      "-----END PUBLIC KEY-----\n";

static const char ed25519[] = "-----BEGIN PUBLIC KEY-----\n"
			      "MCowBQYDK2VwAyEAngz0aTG8kx7+lP4bxfCB7yWep9OIk7NW8oBGvsEr3WA=\n"
			      "-----END PUBLIC KEY-----\n";

static const char dsa_1024[] = "-----BEGIN PUBLIC KEY-----\n"
			       "MIIBvzCCATMGByqGSM44BAEwggEmAoGBAPVx1mS51pMHJVtFR9M8UCfdiNso1VPR\n"
			       "Z85ftFIjUEJ8/RfMGzORgykbD0aeJpvXE4TLcUt4GtojTMVYfMbIJ80M6hOrL8nO\n"
			       "6aTCSIyYZQQ70TkuAcrEr1KHYwDIi2bX3yhUA/ySzVjvNskR7bAQ2fNNOeC1s7os\n"
			       "iLr+qP9qXEjdAh0AmrkU9ela5IyP7S40TFuocNew+K0f/nxEDL7CiQKBgDwmpa/j\n"
			       "lQdmChNApftDUeFqaNkUtUkwWYJTN4m4FvPPvYABejve6Fua821+ANFJzTIXl+W9\n"
			       "A3EQXcD9pYjpH5aT/UsPlKfPOO7WZ/HMVJXyh2tnhTAN4RKJPE9n4tiXSGLdkmX/\n"
			       "OLGUN98NftvP1Hge5DcrUfp69i78YpD5j6nRA4GFAAKBgQCT4Wa2IcqXOaQfXtH6\n"
			       "TNcAZgGQ8ZD0nMoG1Jc8Rs1wFOxA4qhJRaq++4FpladfWyvUx617rBs03+hOUHYC\n"
			       "gwzhP7seXZiWcEGtH/uswzZ13/b6vi+jXeW8q1n8TvoHEYLIAkZ2gnGfaP2HiIaK\n"
			       "2LOy1JQ48wY5lwehOqmDCgqTYA==\n"
			       "-----END PUBLIC KEY-----\n";

static const char rsa_pss_2048[] = "-----BEGIN PUBLIC KEY-----\n"
				   "MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAJ7eW09TdtjYnXrpCQV9IjVh\n"
				   "IvSNg/VWZnKECPZvamXs1aanxVtyZ4sbHHjFFVSLpynRsDs36F++60C7/btnC27X\n"
				   "23J0JvzkNoSK7MoRfsmYp+7bBdOgR1j2ZKx5sNHvJcRVKRmfXl3I3HBA3YfEejd1\n"
				   "7CdF0Q62IDOcRwssEEDE26jLZ2+ImfmiBZb2MoPLUm5371DWQqTWUnQqXni411kb\n"
				   "XTccS0PbJyHX2r/cyHQWYjnd9Ifp/AYwYk/zZ5hDMVWK1pBfJQqJMxEAS9s6GaWE\n"
				   "SOhZsJS8qcJTs4N4nqiAjMFJ6TRKhay1HW3q2t13zmFAY2ZseUJTdZLv+B4zHjMC\n"
				   "AwEAAQ==\n"
				   "-----END PUBLIC KEY-----\n";

static const char certificate[] = "-----BEGIN CERTIFICATE-----\n"
				  "MIIC/zCCAeegAwIBAgIUHlhTjZnHJXJOA7eGPn9/UzKBfiQwDQYJKoZIhvcNAQEL\n"
				  "BQAwDzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjEwMTA5MTZaFw0yNjExMjIwMTA5\n"
				  "MTZaMA8xDTALBgNVBAMMBHRlc3QwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEK\n"
				  "AoIBAQDH495cAZq4juVYMDnD+RPmZBDEA2u16P7LfAHQSiVB7iMwhSQwnjyeMgxM\n"
				  "KWzyxPMlBSJ5xwAhMaJRwshPeSoAAM0f/LmA9Kv6sNqR+/fOyEWNly9PjtQyhrek\n"
				  "o1Ez1VFrUIt5S6q0Q3mMc6N3A3Xkj5YViXZn+AEYXNAVen8Xa2nioArzZUNwdCSi\n"
				  "APkK0+pXNKuEVq2lCL4z8k0xrTP+lxnKPHoLJ9JygNA0OrV9BVbzuE1QW6FO2Ul9\n"
				  "2u1NyGbT8Fxd78y168j73vjRbKGZz8gZ9l532kYTQxqiu8WQU1FrMjTWBY8L4OFn\n"
				  "fDFZVIOMxZpRh5On1/3U4B+28dQdAgMBAAGjUzBRMB0GA1UdDgQWBBSXepi2Y+a5\n"
				  "yd12ErG6RmY9hCBy3TAfBgNVHSMEGDAWgBSXepi2Y+a5yd12ErG6RmY9hCBy3TAP\n"
				  "BgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4IBAQA1q7/Rgw0O0g05gpot\n"
				  "/nBrvx+ZO7ecfOBOIJ9jz9uOXVKJSa8sDlN5nrnbCQgtbiqRzkZpMknxh/mHSeoX\n"
				  "lqGq/1Y0E5LtTKmtaiJQzZbJyb8iZxc46VfcnYehVlici6QiHGgnXrALUSQbj4Jq\n"
				  "1iHltxj0KPnI+Yit6SvJDnMe++NZY9mbZ2CTrskmMd7grM+ExVjteuyzA4Qc1Jm+\n"
				  "urh+pSQ71VcomcdXXR8QsSR3It2Tvx2H3JuZbyq92gsbl5aDJdvG07IrwmneU5eP\n"
				  "wnq5q2yCIM9u173Q56Ja+mB4Lhs1UZ7ewJTsEeDaFYkIXWh5igF7cG1n96FiPO3p\n"
				  "t/G/\n"
				  "-----END CERTIFICATE-----\n";

static inline void assert_refused(struct crypto *c, struct bytes pem, const char *because)
{
	struct crypto_rsa *k = NULL;
	struct why w;

	assert_int_equal(crypto_rsa_parse(c, pem, &k, &w), ERR_BAD_KEY);
	assert_null(k);
	assert_true(w.tell);
	if (strstr(w.text, because) == NULL)
		assert_string_equal(w.text, because);
}

static inline struct crypto_rsa *accepted(struct crypto *c, struct bytes pem)
{
	struct crypto_rsa *k = NULL;
	struct why w;

	if (crypto_rsa_parse(c, pem, &k, &w) != ERR_OK)
		assert_string_equal(w.text, "");
	assert_non_null(k);
	return k;
}

static inline int start(void **state)
{
	struct crypto *c = NULL;
	struct why w;

	if (crypto_new(&c, &w) != ERR_OK)
		return -1;
	*state = c;
	return 0;
}

static inline int stop(void **state)
{
	crypto_free(*state);
	return 0;
}

#endif
