/* Wine before version 9 lacks bcryptprimitives.dll, and no Go program for Windows starts without
   its ProcessPrng. This stands in, with the random numbers of advapi32.dll's RtlGenRandom, whose
   exported name is SystemFunction036. */
typedef unsigned char BYTE;
typedef unsigned char BOOLEAN;
typedef unsigned long ULONG;
typedef unsigned long long SIZE_T;

__declspec(dllimport) BOOLEAN __stdcall SystemFunction036(void *buffer, ULONG length);

__declspec(dllexport) int __stdcall ProcessPrng(BYTE *buffer, SIZE_T length)
{
	while (length > 0) {
		ULONG n = length > 65536 ? 65536 : (ULONG)length;
		if (!SystemFunction036(buffer, n))
			return 0;
		buffer += n;
		length -= n;
	}
	return 1;
}

int __stdcall DllMain(void *instance, ULONG reason, void *reserved) { return 1; }
